# Pushes to the environment's repositories become events in Prefect. Its own unit names `url` and `secret_arn`.

locals {
  environment = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
}

terraform {
  source = "../../../modules/events"
}

inputs = {
  name                = local.environment.name
  repository_prefixes = ["${local.environment.name}/"]
}
