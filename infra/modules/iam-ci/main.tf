# What a GitHub workflow may do in the account, without a key that could leak: GitHub vouches for repository and branch.

locals {
  issuer = "token.actions.githubusercontent.com"

  provider_arn = coalesce(var.provider_arn, one(aws_iam_openid_connect_provider.github[*].arn))
  subjects = concat(
    [for branch in sort(var.branches) : "repo:${var.repository}:ref:refs/heads/${branch}"],
    [for environment in sort(var.environments) : "repo:${var.repository}:environment:${environment}"],
  )
  pushes = length(var.repository_arns) > 0
}

# One an account: AWS refuses a second provider of the same address.
resource "aws_iam_openid_connect_provider" "github" {
  count = var.provider_arn == null ? 1 : 0

  url             = "https://${local.issuer}"
  client_id_list  = ["sts.amazonaws.com"]
  thumbprint_list = var.thumbprints
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "Workflows of ${var.repository}"
  max_session_duration = var.session_seconds
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = local.provider_arn }
        Condition = {
          StringEquals = {
            "${local.issuer}:aud" = "sts.amazonaws.com"
            "${local.issuer}:sub" = local.subjects
          }
        }
      },
    ]
  })

  lifecycle {
    precondition {
      condition     = length(local.subjects) > 0
      error_message = "A role that no branch and no environment may take is of no use: name one."
    }
  }
}

resource "aws_iam_role_policy" "push" {
  count = local.pushes ? 1 : 0

  name = "push-images"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # The login is the account's; AWS knows no narrower resource for it.
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:CompleteLayerUpload",
          "ecr:DescribeImages",
          "ecr:GetDownloadUrlForLayer",
          "ecr:InitiateLayerUpload",
          "ecr:PutImage",
          "ecr:UploadLayerPart",
        ]
        Resource = sort(var.repository_arns)
      },
    ]
  })
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = var.policy_arns

  role       = aws_iam_role.this.name
  policy_arn = each.value
}
