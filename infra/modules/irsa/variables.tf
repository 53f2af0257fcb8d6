variable "name" {
  description = "Name of the role."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.name))
    error_message = "The name must be 1 to 64 letters, digits or any of +=,.@_-."
  }
}

variable "provider_arn" {
  description = "ARN of the cluster's OIDC provider, an output of the module eks."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/.+$", var.provider_arn))
    error_message = "The provider_arn must be the ARN of an IAM OIDC provider."
  }
}

variable "service_accounts" {
  description = "Service accounts that may take the role, each as namespace/name, and no others."
  type        = set(string)

  validation {
    condition = length(var.service_accounts) > 0 && alltrue([
      for account in var.service_accounts : can(regex("^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", account))
    ])
    error_message = "The service_accounts must be at least one namespace/name, without wildcards."
  }
}

variable "policies" {
  description = "What the role may do: IAM policies as JSON, by name."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for policy in values(var.policies) : can(jsondecode(policy).Statement)])
    error_message = "Each of the policies must be the JSON of an IAM policy."
  }
}

variable "policy_arns" {
  description = "Further managed policies, by a name of your own for each."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.policy_arns) : can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/", arn))])
    error_message = "Each of the policy_arns must be the ARN of a managed policy."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds what the role can ever do; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/", var.permissions_boundary))
    error_message = "The permissions_boundary must be the ARN of a managed policy."
  }
}
