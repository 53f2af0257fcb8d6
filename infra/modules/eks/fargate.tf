# Namespaces whose pods run without nodes.

resource "aws_iam_role" "fargate" {
  count = length(var.fargate_namespaces) > 0 ? 1 : 0

  name        = "${var.name}-eks-fargate"
  description = "Pods on Fargate of the Kubernetes cluster ${var.name}"

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "eks-fargate-pods.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy_attachment" "fargate" {
  count = length(aws_iam_role.fargate)

  role       = aws_iam_role.fargate[count.index].name
  policy_arn = "${local.managed_policies}/AmazonEKSFargatePodExecutionRolePolicy"
}

resource "aws_eks_fargate_profile" "this" {
  for_each = var.fargate_namespaces

  cluster_name           = aws_eks_cluster.this.name
  fargate_profile_name   = each.key
  pod_execution_role_arn = aws_iam_role.fargate[0].arn
  subnet_ids             = var.subnet_ids

  selector {
    namespace = each.key
  }

  depends_on = [aws_iam_role_policy_attachment.fargate]
}
