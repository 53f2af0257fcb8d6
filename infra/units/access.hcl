# What nodes may reach and pull.

locals {
  environment = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
}

# Mocks serve `validate` alone: an absent or empty list would let them into plans.
dependency "network" {
  config_path = "../network"

  mock_outputs_allowed_terraform_commands = ["validate"]
  mock_outputs = {
    vpc_id   = "vpc-00000000000000000"
    vpc_cidr = "10.0.0.0/16"
  }
}

dependency "registry" {
  config_path = "../registry"

  mock_outputs_allowed_terraform_commands = ["validate"]
  mock_outputs = {
    repository_arns = { mock = "arn:aws:ecr:eu-central-1:000000000000:repository/mock" }
  }
}

terraform {
  source = "../../../modules/access"
}

inputs = {
  name            = local.environment.name
  vpc_id          = dependency.network.outputs.vpc_id
  vpc_cidr        = dependency.network.outputs.vpc_cidr
  repository_arns = values(dependency.registry.outputs.repository_arns)
}
