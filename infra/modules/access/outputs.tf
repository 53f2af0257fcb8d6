output "security_group_id" {
  description = "Security group of the nodes."
  value       = aws_security_group.nodes.id
}

output "pull_role_arn" {
  description = "Role that may pull the environment's images."
  value       = aws_iam_role.pull.arn
}
