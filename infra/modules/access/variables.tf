variable "name" {
  description = "Name of the environment; names of resources begin with it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.name))
    error_message = "The name must be lower case letters, digits and dashes, beginning with a letter, at most 40 characters."
  }
}

variable "vpc_id" {
  description = "VPC the nodes are in."
  type        = string

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "The vpc_id must be the id of a VPC, such as vpc-0123456789abcdef0."
  }
}

variable "vpc_cidr" {
  description = "Address block of that VPC, which the nodes may speak HTTPS to."
  type        = string

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0))
    error_message = "The vpc_cidr must be an address block, such as 10.20.0.0/16."
  }
}

variable "repository_arns" {
  description = "ARNs of the repositories that may be pulled from, and no others."
  type        = list(string)

  validation {
    condition = length(var.repository_arns) > 0 && alltrue([
      for arn in var.repository_arns : can(regex("^arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/[^*]+$", arn))
    ])
    error_message = "The repository_arns must be at least one ARN of an ECR repository, without wildcards."
  }
}

variable "prefix_list_ids" {
  description = "Prefix lists the nodes may speak HTTPS to, such as that of S3 behind a gateway endpoint."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for list in var.prefix_list_ids : can(regex("^pl-[0-9a-f]+$", list))])
    error_message = "Each of the prefix_list_ids must be the id of a prefix list, such as pl-6ea54007."
  }
}
