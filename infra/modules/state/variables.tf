variable "bucket" {
  description = "Name of the bucket; infra/live expects symphony-state-<account>-<region>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "The bucket must be 3 to 63 lower case letters, digits and dashes; dots break TLS to it."
  }
}

variable "kms_key_arn" {
  description = "KMS key that encrypts the state; null for keys that S3 keeps."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "The kms_key_arn must be the ARN of a KMS key, not of an alias."
  }
}

variable "noncurrent_days" {
  description = "Days that a former version of a state can be restored."
  type        = number
  default     = 365

  validation {
    condition     = var.noncurrent_days >= 30 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "The noncurrent_days must be a whole number of at least 30."
  }
}

variable "tls_only" {
  description = "Whether plain HTTP is refused; off in a sandbox alone, which has nothing else."
  type        = bool
  default     = true
}

variable "prefixes" {
  description = "Environments whose state lies under their name, each with policies for reading and writing among the outputs."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for prefix in var.prefixes : can(regex("^[a-z][a-z0-9-]{0,39}$", prefix))])
    error_message = "Each of the prefixes must be the name of an environment, without a slash or wildcard."
  }
}
