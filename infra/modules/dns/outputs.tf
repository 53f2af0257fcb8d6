output "zone_id" {
  description = "Zone of the records."
  value       = local.zone_id
}

output "name_servers" {
  description = "Name servers that the domain above must delegate to; empty where the zone was there already."
  value       = flatten(aws_route53_zone.this[*].name_servers)
}

output "certificate_arn" {
  description = "Certificate, issued where `wait` is set."
  value       = var.wait ? aws_acm_certificate_validation.this[0].certificate_arn : aws_acm_certificate.this.arn
}
