variable "name" {
  description = "Name of the environment; names of resources begin with it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.name))
    error_message = "The name must be lower case letters, digits and dashes, beginning with a letter, at most 40 characters."
  }
}

variable "cidr" {
  description = "Address block of the VPC, IPv4, from /16 to /20."
  type        = string

  validation {
    condition     = can(regex("/(1[6-9]|20)$", var.cidr)) && can(cidrsubnet(var.cidr, 4, 15))
    error_message = "The cidr must be an IPv4 block from /16 to /20, such as 10.20.0.0/16."
  }
}

variable "zones" {
  description = "Availability zones, each with one public and one private subnet; append new ones at the end, so that no subnet moves."
  type        = list(string)

  validation {
    condition = (
      length(var.zones) >= 1 && length(var.zones) <= 8 && length(distinct(var.zones)) == length(var.zones) &&
      alltrue([for zone in var.zones : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$", zone))])
    )
    error_message = "The zones must be one to eight different availability zones, such as eu-central-1a."
  }
}

variable "dns_hostnames" {
  description = "Whether machines get DNS names; EKS and interface endpoints need it. Provider 3.40 waits ten seconds for it."
  type        = bool
  default     = false
}

variable "nat" {
  description = "NAT gateways for private subnets: none, single (one for all zones) or zone (one in each zone)."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "single", "zone"], var.nat)
    error_message = "The nat must be none, single or zone."
  }
}

variable "interface_endpoints" {
  description = "AWS services with an interface endpoint in the private subnets, such as ecr.api and ecr.dkr."
  type        = set(string)
  default     = []

  validation {
    condition = alltrue([
      for service in var.interface_endpoints : service != "s3" && can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)*$", service))
    ])
    error_message = "The interface_endpoints must be names of AWS services, such as ecr.api; s3 has s3_endpoint."
  }
}

variable "s3_endpoint" {
  description = "Whether the private subnets reach S3 by a gateway endpoint, which costs nothing; layers of ECR images need it or NAT."
  type        = bool
  default     = false
}
