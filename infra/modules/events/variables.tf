variable "name" {
  description = "Name of the environment or account; names of resources begin with it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.name))
    error_message = "The name must be lower case letters, digits and dashes, beginning with a letter, at most 40 characters."
  }
}

variable "repository_prefixes" {
  description = "Beginnings of the names of repositories whose pushes count, such as dev/."
  type        = set(string)

  validation {
    condition     = length(var.repository_prefixes) > 0 && alltrue([for prefix in var.repository_prefixes : can(regex("^[a-z0-9][a-z0-9._/-]*$", prefix))])
    error_message = "The repository_prefixes must be at least one beginning of a repository's name, without wildcards."
  }
}

variable "event" {
  description = "Name of the event in Prefect, which automations match on."
  type        = string
  default     = "aws.ecr.image-action"

  validation {
    condition     = can(regex("^[a-z0-9]+([._-][a-z0-9]+)*$", var.event))
    error_message = "The event must be lower case words, parted by dots, dashes or underscores."
  }
}

variable "url" {
  description = "Address of Prefect's events API as EventBridge reaches it, such as https://prefect.example.com/api/events; needed without destination_arn."
  type        = string
  default     = null

  validation {
    condition     = var.url == null || can(regex("^https://[^/]+/.*events/?$", var.url))
    error_message = "The url must begin with https:// and end with the path of the events API: EventBridge takes no plain HTTP."
  }
}

variable "secret_arn" {
  description = "Secret in Secrets Manager, a JSON object with Prefect's username and password; needed without destination_arn."
  type        = string
  default     = null

  validation {
    condition     = var.secret_arn == null || can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$", var.secret_arn))
    error_message = "The secret_arn must be the ARN of a secret in Secrets Manager."
  }
}

variable "secret_version_id" {
  description = "Version of the secret; a new one makes CloudFormation read the secret again, null means the current one of the day it was made."
  type        = string
  default     = null

  validation {
    condition     = var.secret_version_id == null || can(regex("^[A-Za-z0-9-]{32,64}$", var.secret_version_id))
    error_message = "The secret_version_id must be the id of a version, 32 to 64 letters, digits and dashes."
  }
}

variable "rate" {
  description = "Most events a second that Prefect is sent."
  type        = number
  default     = 10

  validation {
    condition     = var.rate >= 1 && var.rate <= 300 && floor(var.rate) == var.rate
    error_message = "The rate must be a whole number from 1 to 300."
  }
}

variable "destination_arn" {
  description = "ARN of an API destination that is there already; null makes one from url and secret_arn."
  type        = string
  default     = null

  validation {
    condition     = var.destination_arn == null || can(regex("^arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:api-destination/.+$", var.destination_arn))
    error_message = "The destination_arn must be the ARN of an API destination."
  }
}

variable "kms_key_id" {
  description = "KMS key of the queue of undelivered events, whose policy must let EventBridge use it; null leaves it to the queue's own encryption."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_id == null || length(var.kms_key_id) > 0
    error_message = "The kms_key_id must be the id, ARN or alias of a KMS key."
  }
}
