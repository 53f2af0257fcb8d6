# Nodes of a network that pull from one repository.

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
      unit        = "access"
    }
  }
}

module "network" {
  source = "../../../network"

  name  = "example-access"
  cidr  = "10.92.0.0/16"
  zones = ["eu-central-1a"]
}

module "registry" {
  source = "../../../ecr"

  repositories = ["example-access/hello"]
}

module "access" {
  source = "../.."

  name            = "example-access"
  vpc_id          = module.network.vpc_id
  vpc_cidr        = module.network.vpc_cidr
  repository_arns = values(module.registry.repository_arns)
}

output "pull_role_arn" {
  description = "Role that may pull the repository's images."
  value       = module.access.pull_role_arn
}
