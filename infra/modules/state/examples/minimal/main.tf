# The bucket of an account's state, with policies for two environments.

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
      unit        = "state"
    }
  }
}

module "state" {
  source = "../.."

  bucket   = "symphony-state-example-eu-central-1"
  prefixes = ["dev", "staging"]
}

output "policies" {
  description = "IAM policies as JSON by environment, each with read and write."
  value       = module.state.policies
}
