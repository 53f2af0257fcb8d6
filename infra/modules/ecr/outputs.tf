output "repository_urls" {
  description = "URL that images are pushed to, by repository."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}

output "repository_arns" {
  description = "ARN by repository, for policies."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.arn }
}
