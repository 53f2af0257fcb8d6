# A network over two zones: nodes leave it by one NAT gateway, and pull images without it.

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
      unit        = "network"
    }
  }
}

module "network" {
  source = "../.."

  name                = "example"
  cidr                = "10.90.0.0/16"
  zones               = ["eu-central-1a", "eu-central-1b"]
  dns_hostnames       = true
  nat                 = "single"
  interface_endpoints = ["ecr.api", "ecr.dkr"]
  s3_endpoint         = true
}

output "private_subnet_ids" {
  description = "Private subnet by availability zone."
  value       = module.network.private_subnet_ids
}
