# Pushes to the repositories of dev go to an API destination that is there already.

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
      unit        = "events"
    }
  }
}

module "events" {
  source = "../.."

  name                = "example-existing"
  repository_prefixes = ["dev/"]
  destination_arn     = "arn:aws:events:eu-central-1:123456789012:api-destination/prefect/11111111-2222-3333-4444-555555555555"
}

output "rule_arns" {
  description = "Rules of EventBridge, by whether the image has a tag."
  value       = module.events.rule_arns
}
