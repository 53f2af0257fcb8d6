# Workflows on the main branch of one GitHub repository push to one ECR repository.

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
      unit        = "iam-ci"
    }
  }
}

module "registry" {
  source = "../../../ecr"

  repositories = ["example-ci/hello"]
}

module "ci" {
  source = "../.."

  name            = "example-ci"
  repository      = "example/hello"
  branches        = ["main"]
  repository_arns = values(module.registry.repository_arns)
}

output "role_arn" {
  description = "Role that the workflow names."
  value       = module.ci.role_arn
}
