# Other accounts, such as the one of a later environment, may pull; none may push.

data "aws_partition" "current" {}

resource "aws_ecr_repository_policy" "pull" {
  for_each = length(var.pull_accounts) > 0 ? aws_ecr_repository.this : {}

  repository = each.value.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Pull"
        Effect = "Allow"
        Principal = {
          AWS = [for account in sort(var.pull_accounts) : "arn:${data.aws_partition.current.partition}:iam::${account}:root"]
        }
        Action = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      },
    ]
  })
}
