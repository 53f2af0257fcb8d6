output "cluster_name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "cluster_arn" {
  description = "ARN of the cluster, for policies."
  value       = aws_eks_cluster.this.arn
}

output "endpoint" {
  description = "Address of the Kubernetes API."
  value       = aws_eks_cluster.this.endpoint
}

output "certificate_authority" {
  description = "Certificate authority of the Kubernetes API, base64."
  value       = aws_eks_cluster.this.certificate_authority[0].data
}

output "security_group_id" {
  description = "Security group that EKS gives the control plane and the nodes."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "oidc_provider_arn" {
  description = "OIDC provider of the cluster, for the module irsa."
  value       = aws_iam_openid_connect_provider.this.arn
}

output "secrets_key_arn" {
  description = "KMS key that encrypts the cluster's secrets."
  value       = aws_kms_key.secrets.arn
}

output "node_role_arns" {
  description = "Roles of the nodes and of the pods on Fargate; EKS writes them into aws-auth by itself."
  value       = concat(aws_iam_role.nodes[*].arn, aws_iam_role.fargate[*].arn)
}
