# A zone with its records, and a certificate that ACM validates by records in that zone.

locals {
  zone_id = var.zone_id == null ? aws_route53_zone.this[0].zone_id : var.zone_id

  # A name and its wildcard are validated by one and the same record.
  names   = concat([var.domain], sort(var.alternative_names))
  records = toset([for name in local.names : trimprefix(name, "*.")])
  validation = {
    for name in local.records : name => [
      for option in aws_acm_certificate.this.domain_validation_options :
      option if trimprefix(option.domain_name, "*.") == name
    ]
  }
}

resource "aws_route53_zone" "this" {
  count = var.zone_id == null ? 1 : 0

  name    = var.domain
  comment = "Managed by Symphony"
}

resource "aws_route53_record" "this" {
  for_each = var.records

  zone_id = local.zone_id
  name    = split(" ", each.key)[1]
  type    = split(" ", each.key)[0]
  ttl     = each.value.ttl
  records = each.value.values
}

resource "aws_acm_certificate" "this" {
  domain_name               = var.domain
  subject_alternative_names = var.alternative_names
  validation_method         = "DNS"

  tags = { Name = var.domain }

  lifecycle {
    # A load balancer holds on to the old one until the new one is there.
    create_before_destroy = true
  }
}

resource "aws_route53_record" "validation" {
  for_each = local.records

  zone_id = local.zone_id
  name    = local.validation[each.key][0].resource_record_name
  type    = local.validation[each.key][0].resource_record_type
  ttl     = 300
  records = [local.validation[each.key][0].resource_record_value]
}

# Waits until ACM has issued, so that nothing is given a certificate that does not serve yet.
resource "aws_acm_certificate_validation" "this" {
  count = var.wait ? 1 : 0

  certificate_arn         = aws_acm_certificate.this.arn
  validation_record_fqdns = values(aws_route53_record.validation)[*].fqdn
}
