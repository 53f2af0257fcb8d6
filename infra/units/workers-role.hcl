# Prefect's workers build and push images. The environment's own unit may name other `service_accounts`.

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

dependency "registry" {
  config_path = "../registry"

  mock_outputs_allowed_terraform_commands = ["validate"]
  mock_outputs = {
    repository_arns = { mock = "arn:aws:ecr:${local.region}:${local.account}:repository/mock" }
  }
}

terraform {
  source = "../../../modules/irsa"
}

inputs = {
  name             = "${local.environment.name}-workers"
  provider_arn     = dependency.cluster.outputs.oidc_provider_arn
  service_accounts = ["prefect/worker"]

  policies = {
    push-images = jsonencode({
      Version = "2012-10-17"
      Statement = [
        { Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
        {
          Effect = "Allow"
          Action = [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:CompleteLayerUpload",
            "ecr:DescribeImageScanFindings",
            "ecr:DescribeImages",
            "ecr:DescribeRepositories",
            "ecr:GetDownloadUrlForLayer",
            "ecr:GetLifecyclePolicy",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
            "ecr:StartImageScan",
            "ecr:UploadLayerPart",
          ]
          Resource = values(dependency.registry.outputs.repository_arns)
        },
      ]
    })
  }
}
