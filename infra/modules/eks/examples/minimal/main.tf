# A private cluster with one group of nodes, and the namespace of batch work on Fargate.

terraform {
  required_version = ">= 1.8"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 3.40, < 7.0"
    }
  }
}

provider "aws" {
  region = "eu-central-1"

  default_tags {
    tags = {
      environment = "example"
      managed-by  = "symphony"
      unit        = "eks"
    }
  }
}

module "network" {
  source = "../../../network"

  name          = "example-eks"
  cidr          = "10.93.0.0/16"
  zones         = ["eu-central-1a", "eu-central-1b"]
  dns_hostnames = true
  nat           = "single"
  s3_endpoint   = true
}

module "cluster" {
  source = "../.."

  name               = "example"
  kubernetes_version = "1.34"
  subnet_ids         = values(module.network.private_subnet_ids)
  node_groups        = { general = {} }
  fargate_namespaces = ["batch"]

  tags = {
    environment = "example"
    managed-by  = "symphony"
  }
}

output "oidc_provider_arn" {
  description = "OIDC provider of the cluster, for the module irsa."
  value       = module.cluster.oidc_provider_arn
}
