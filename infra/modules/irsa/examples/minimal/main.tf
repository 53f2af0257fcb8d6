# Roles of Argo CD, of Prefect's workers and of the ingress controller in one cluster.

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
      unit        = "irsa"
    }
  }
}

locals {
  # The module eks has this as its output oidc_provider_arn.
  provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"

  login = { Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] }
  repositories = [
    "arn:aws:ecr:eu-central-1:123456789012:repository/example/hello",
  ]
}

# Argo CD reads charts that lie in ECR as OCI artifacts.
module "argocd" {
  source = "../.."

  name             = "example-argocd"
  provider_arn     = local.provider_arn
  service_accounts = ["argocd/argocd-repo-server"]

  policies = {
    pull-charts = jsonencode({
      Version = "2012-10-17"
      Statement = [
        local.login,
        { Effect = "Allow", Action = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], Resource = local.repositories },
      ]
    })
  }
}

# Workers build and push images; what they provision with is the role of the environment's units.
module "workers" {
  source = "../.."

  name             = "example-workers"
  provider_arn     = local.provider_arn
  service_accounts = ["prefect/worker"]

  policies = {
    push-images = jsonencode({
      Version = "2012-10-17"
      Statement = [
        local.login,
        {
          Effect = "Allow"
          Action = [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:CompleteLayerUpload",
            "ecr:DescribeImages",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
            "ecr:UploadLayerPart",
          ]
          Resource = local.repositories
        },
      ]
    })
  }
}

# The ingress controller answers challenges of certificates in one zone.
module "ingress" {
  source = "../.."

  name             = "example-ingress"
  provider_arn     = local.provider_arn
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
          Resource = ["arn:aws:route53:::hostedzone/Z0123456789EXAMPLE"]
          Condition = {
            "ForAllValues:StringEquals" = { "route53:ChangeResourceRecordSetsRecordTypes" = ["TXT"] }
          }
        },
      ]
    })
  }
}

output "role_arns" {
  description = "Role by what takes it."
  value = {
    argocd  = module.argocd.role_arn
    workers = module.workers.role_arn
    ingress = module.ingress.role_arn
  }
}
