variable "domain" {
  description = "Domain of the zone and of the certificate, such as dev.example.com."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.domain)) && length(var.domain) <= 64
    error_message = "The domain must be a lower case domain name of at most 64 characters, without a dot at its end."
  }
}

variable "zone_id" {
  description = "Id of a public zone that is there already and holds the domain; null makes one."
  type        = string
  default     = null

  validation {
    condition     = var.zone_id == null || can(regex("^Z[A-Z0-9]+$", var.zone_id))
    error_message = "The zone_id must be the id of a Route 53 zone, such as Z0123456789ABCDEFGHIJ."
  }
}

variable "alternative_names" {
  description = "Further names of the certificate, wildcards too, each within the zone."
  type        = set(string)
  default     = []

  validation {
    condition = alltrue([
      for name in var.alternative_names : can(regex("^(\\*\\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", name))
    ])
    error_message = "Each of the alternative_names must be a lower case domain name, which may begin with a wildcard."
  }
}

variable "records" {
  description = "Records by type and full name, such as \"CNAME www.example.com\"; ttl in seconds."
  type = map(object({
    values = list(string)
    ttl    = optional(number, 300)
  }))
  default = {}

  validation {
    condition = alltrue([
      for name, record in var.records :
      can(regex("^(A|AAAA|CAA|CNAME|MX|NS|SRV|TXT) (\\*\\.)?[a-z0-9._-]+[a-z0-9]$", name)) &&
      length(record.values) > 0 && record.ttl >= 0 && record.ttl <= 86400
    ])
    error_message = "Each of the records must be named by a type and a lower case full name, and have values and a ttl of at most 86400."
  }
}

variable "wait" {
  description = "Whether to wait until ACM has issued the certificate; not before the zone is delegated, or it waits in vain."
  type        = bool
  default     = true
}
