# The ingress controller answers challenges of certificates in the environment's zone. Its own unit may name other
# `service_accounts`.

locals {
  environment = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
  account     = read_terragrunt_config(find_in_parent_folders("account.hcl")).locals.account
  region      = read_terragrunt_config(find_in_parent_folders("region.hcl")).locals.region
}

# Mocks serve `validate` alone: an absent or empty list would let them into plans.
dependency "cluster" {
  config_path = "../cluster"

  mock_outputs_allowed_terraform_commands = ["validate"]
  mock_outputs = {
    oidc_provider_arn = "arn:aws:iam::${local.account}:oidc-provider/oidc.eks.${local.region}.amazonaws.com/id/MOCK"
  }
}

dependency "dns" {
  config_path = "../dns"

  mock_outputs_allowed_terraform_commands = ["validate"]
  mock_outputs                            = { zone_id = "Z00000000000000000000" }
}

terraform {
  source = "../../../modules/irsa"
}

inputs = {
  name             = "${local.environment.name}-ingress"
  provider_arn     = dependency.cluster.outputs.oidc_provider_arn
  service_accounts = ["ingress/traefik"]

  policies = {
    answer-challenges = jsonencode({
      Version = "2012-10-17"
      Statement = [
        { Effect = "Allow", Action = ["route53:ListHostedZonesByName"], Resource = ["*"] },
        { Effect = "Allow", Action = ["route53:GetChange"], Resource = ["arn:aws:route53:::change/*"] },
        {
          Effect   = "Allow"
          Action   = ["route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"]
          Resource = ["arn:aws:route53:::hostedzone/${dependency.dns.outputs.zone_id}"]
          Condition = {
            "ForAllValues:StringEquals" = { "route53:ChangeResourceRecordSetsRecordTypes" = ["TXT"] }
          }
        },
      ]
    })
  }
}
