# A zone with a record, and a certificate for it and its applications. Wait once the zone is delegated.

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
      unit        = "dns"
    }
  }
}

module "dns" {
  source = "../.."

  domain            = "example.symphony.test"
  alternative_names = ["*.example.symphony.test", "argocd.example.symphony.test"]
  wait              = false

  records = {
    "CNAME www.example.symphony.test" = { values = ["ingress.example.symphony.test"] }
  }
}

output "name_servers" {
  description = "Name servers that the domain above must delegate to."
  value       = module.dns.name_servers
}
