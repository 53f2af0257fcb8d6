# A network whose zones do not depend on each other: a NAT gateway in each, no endpoints.

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

  name  = "example-zones"
  cidr  = "10.91.0.0/16"
  zones = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  nat   = "zone"
}

output "nat_addresses" {
  description = "Public addresses that private subnets leave by."
  value       = module.network.nat_addresses
}
