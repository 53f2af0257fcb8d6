include "root" {
  path = find_in_parent_folders("root.hcl")
}

locals {
  environment = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
}

terraform {
  source = "../../../modules/network"
}

inputs = {
  name  = local.environment.name
  cidr  = local.environment.cidr
  zones = local.environment.zones
}
