# What the environment's nodes may do: speak within their VPC, and pull from exactly the environment's repositories.

resource "aws_security_group" "nodes" {
  name        = "${var.name}-nodes"
  description = "Nodes of the ${var.name} cluster"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-nodes" }
}

resource "aws_security_group_rule" "among_nodes" {
  security_group_id = aws_security_group.nodes.id
  description       = "Nodes and pods reach each other"
  type              = "ingress"
  protocol          = "-1"
  from_port         = 0
  to_port           = 0
  self              = true
}

resource "aws_security_group_rule" "https_within" {
  security_group_id = aws_security_group.nodes.id
  description       = "Endpoints within the VPC"
  type              = "egress"
  protocol          = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_blocks       = [var.vpc_cidr]
}

resource "aws_security_group_rule" "https_endpoints" {
  count = length(var.prefix_list_ids) > 0 ? 1 : 0

  security_group_id = aws_security_group.nodes.id
  description       = "Endpoints beside the VPC"
  type              = "egress"
  protocol          = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_ids   = var.prefix_list_ids
}

resource "aws_iam_role" "pull" {
  name        = "${var.name}-image-pull"
  description = "Pulls the images of ${var.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { Service = "ec2.amazonaws.com" }
      },
    ]
  })
}

resource "aws_iam_role_policy" "pull" {
  name = "pull-images"
  role = aws_iam_role.pull.id

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
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = sort(var.repository_arns)
      },
    ]
  })
}
