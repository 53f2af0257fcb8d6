output "role_arn" {
  description = "Role that a workflow names in aws-actions/configure-aws-credentials."
  value       = aws_iam_role.this.arn
}

output "provider_arn" {
  description = "OIDC provider of GitHub, for further roles of the account."
  value       = local.provider_arn
}

output "subjects" {
  description = "What GitHub's token must say of where it comes from."
  value       = local.subjects
}
