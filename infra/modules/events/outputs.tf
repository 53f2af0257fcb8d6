output "rule_arns" {
  description = "Rules of EventBridge, by whether the image has a tag."
  value       = { for name, rule in aws_cloudwatch_event_rule.push : name => rule.arn }
}

output "destination_arn" {
  description = "API destination that events are sent to."
  value       = local.destination_arn
}

output "undelivered_queue_url" {
  description = "Queue of events that Prefect did not take."
  value       = aws_sqs_queue.undelivered.id
}
