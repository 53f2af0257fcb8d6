output "role_arn" {
  description = "Role that the service account names."
  value       = aws_iam_role.this.arn
}

output "annotations" {
  description = "Annotations that a service account needs to take the role."
  value       = { "eks.amazonaws.com/role-arn" = aws_iam_role.this.arn }
}
