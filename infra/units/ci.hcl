# The role of GitHub's workflows. The environment's own unit names the `repository`, and where the account has GitHub's
# OIDC provider already, its `provider_arn`.

locals {
  environment = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
  account     = read_terragrunt_config(find_in_parent_folders("account.hcl")).locals.account
  region      = read_terragrunt_config(find_in_parent_folders("region.hcl")).locals.region
}

# Mocks serve `validate` alone: an absent or empty list would let them into plans.
dependency "registry" {
  config_path = "../registry"

  mock_outputs_allowed_terraform_commands = ["validate"]
  mock_outputs = {
    repository_arns = { mock = "arn:aws:ecr:${local.region}:${local.account}:repository/mock" }
  }
}

terraform {
  source = "../../../modules/iam-ci"
}

inputs = {
  name            = "${local.environment.name}-ci"
  repository_arns = values(dependency.registry.outputs.repository_arns)
}
