# What every unit has in common: provider, state and tags. Each unit includes this file.

locals {
  environment = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
  account     = read_terragrunt_config(find_in_parent_folders("account.hcl")).locals.account
  region      = read_terragrunt_config(find_in_parent_folders("region.hcl")).locals.region

  # Set in a sandbox alone (Symphony does it for environments of kind sandbox); AWS itself has none of it.
  endpoint = get_env("AWS_ENDPOINT_URL", "")

  # Provider 3.40 reads no AWS_ENDPOINT_URL; later ones do, and call path style another name.
  sandbox_provider = <<-HCL

    skip_get_ec2_platforms  = true
    skip_metadata_api_check = true
    s3_force_path_style     = true

    endpoints {
      acm              = "${local.endpoint}"
      cloudformation   = "${local.endpoint}"
      cloudwatchevents = "${local.endpoint}"
      cloudwatchlogs   = "${local.endpoint}"
      ec2              = "${local.endpoint}"
      ecr              = "${local.endpoint}"
      eks              = "${local.endpoint}"
      iam              = "${local.endpoint}"
      kms              = "${local.endpoint}"
      route53          = "${local.endpoint}"
      s3               = "${local.endpoint}"
      sqs              = "${local.endpoint}"
      sts              = "${local.endpoint}"
    }
  HCL

  sandbox_backend = {
    use_path_style = true

    # A sandbox speaks plain HTTP, which a TLS-only policy would refuse; moto enforces bucket policies.
    skip_bucket_enforced_tls = true
    skip_bucket_root_access  = true
  }
}

generate "provider" {
  path      = "provider.tf"
  if_exists = "overwrite_terragrunt"
  contents  = <<-HCL
    provider "aws" {
      region = "${local.region}"

      # A run with another account's credentials ends here, before it touches anything.
      allowed_account_ids = ["${local.account}"]

      # A throttled call waits about two minutes in all; the default of 25 tries would hold a run for over an hour.
      max_retries = 8

      default_tags {
        tags = {
          environment = "${local.environment.name}"
          managed-by  = "symphony"
          unit        = "${path_relative_to_include()}"
        }
      }
    ${local.endpoint == "" ? "" : indent(2, local.sandbox_provider)}}
  HCL
}

remote_state {
  backend = "s3"

  generate = {
    path      = "backend.tf"
    if_exists = "overwrite_terragrunt"
  }

  config = merge(
    {
      bucket       = "symphony-state-${local.account}-${local.region}"
      key          = "${path_relative_to_include()}/terraform.tfstate"
      region       = local.region
      encrypt      = true
      use_lockfile = true
    },
    local.endpoint == "" ? {} : local.sandbox_backend,
  )
}
