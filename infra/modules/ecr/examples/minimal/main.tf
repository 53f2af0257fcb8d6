# A repository that another account pulls from.

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
      unit        = "ecr"
    }
  }
}

module "registry" {
  source = "../.."

  repositories  = ["example/hello"]
  pull_accounts = ["210987654321"]
}

output "repository_urls" {
  description = "URL that images are pushed to, by repository."
  value       = module.registry.repository_urls
}
