# A private cluster without nodes: every namespace in use runs on Fargate, CoreDNS's too.

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

  name          = "example-fargate"
  cidr          = "10.94.0.0/16"
  zones         = ["eu-central-1a", "eu-central-1b"]
  dns_hostnames = true
  nat           = "single"
  s3_endpoint   = true
}

module "cluster" {
  source = "../.."

  name               = "example-fargate"
  kubernetes_version = "1.34"
  subnet_ids         = values(module.network.private_subnet_ids)
  fargate_namespaces = ["kube-system", "dev"]
}

output "oidc_provider_arn" {
  description = "OIDC provider of the cluster, for the module irsa."
  value       = module.cluster.oidc_provider_arn
}
