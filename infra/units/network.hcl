# The environment's VPC.

locals {
  environment = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
  region      = read_terragrunt_config(find_in_parent_folders("region.hcl")).locals
}

terraform {
  source = "../../../modules/network"
}

inputs = {
  name  = local.environment.name
  cidr  = local.environment.cidr
  zones = local.region.zones
}
