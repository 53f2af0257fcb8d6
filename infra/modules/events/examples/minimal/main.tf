# Pushes to the repositories of dev reach Prefect's API with a password from Secrets Manager.

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

  name                = "example"
  repository_prefixes = ["dev/"]
  url                 = "https://prefect.example.com/api/events"
  secret_arn          = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prefect-AbCdEf"
}

output "undelivered_queue_url" {
  description = "Queue of events that Prefect did not take."
  value       = module.events.undelivered_queue_url
}
