# Managed groups of EC2 nodes.

resource "aws_iam_role" "nodes" {
  count = length(var.node_groups) > 0 ? 1 : 0

  name        = "${var.name}-eks-nodes"
  description = "Nodes of the Kubernetes cluster ${var.name}"

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy_attachment" "nodes" {
  for_each = toset(length(var.node_groups) > 0 ? [
    "AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly",
  ] : [])

  role       = aws_iam_role.nodes[0].name
  policy_arn = "${local.managed_policies}/${each.key}"
}

resource "aws_launch_template" "nodes" {
  for_each = var.node_groups

  name                   = "${var.name}-${each.key}"
  description            = "Nodes ${each.key} of the Kubernetes cluster ${var.name}"
  update_default_version = true

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = each.value.disk_gib
      encrypted             = "true"
      delete_on_termination = "true"
    }
  }

  # One hop, so that a pod cannot take the node's role from the metadata service.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # The provider's default_tags do not reach what Auto Scaling makes.
  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume"])

    content {
      resource_type = tag_specifications.key
      tags          = merge(var.tags, { Name = "${var.name}-${each.key}" })
    }
  }
}

resource "aws_eks_node_group" "this" {
  for_each = var.node_groups

  cluster_name    = aws_eks_cluster.this.name
  node_group_name = each.key
  node_role_arn   = aws_iam_role.nodes[0].arn
  subnet_ids      = var.subnet_ids
  instance_types  = each.value.instance_types
  capacity_type   = each.value.capacity_type
  labels          = each.value.labels

  scaling_config {
    min_size     = each.value.minimum
    desired_size = each.value.minimum
    max_size     = each.value.maximum
  }

  launch_template {
    id      = aws_launch_template.nodes[each.key].id
    version = aws_launch_template.nodes[each.key].latest_version
  }

  lifecycle {
    # How many are wanted is the autoscaler's to say.
    ignore_changes = [scaling_config[0].desired_size]
  }

  depends_on = [aws_iam_role_policy_attachment.nodes]
}
