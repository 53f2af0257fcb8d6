# A role that exactly the named service accounts of one cluster may take.

locals {
  subjects = [for account in sort(var.service_accounts) : "system:serviceaccount:${replace(account, "/", ":")}"]

  # The ARN ends in the issuer, which is what the conditions of a trust policy begin with.
  issuer = regex("oidc-provider/(.+)$", var.provider_arn)[0]
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "Service accounts ${join(", ", sort(var.service_accounts))}"
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = var.provider_arn }
        Condition = {
          StringEquals = {
            "${local.issuer}:aud" = "sts.amazonaws.com"
            "${local.issuer}:sub" = local.subjects
          }
        }
      },
    ]
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = var.policies

  name   = each.key
  role   = aws_iam_role.this.id
  policy = each.value
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = var.policy_arns

  role       = aws_iam_role.this.name
  policy_arn = each.value
}
