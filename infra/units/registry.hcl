# The ECR repositories of the environment's applications.

locals {
  environment  = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
  applications = read_terragrunt_config(find_in_parent_folders("applications.hcl")).locals.applications
}

terraform {
  source = "../../../modules/ecr"
}

inputs = {
  repositories = [for application in local.applications : "${local.environment.name}/${application}"]
}
