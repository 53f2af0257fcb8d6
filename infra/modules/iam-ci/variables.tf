variable "name" {
  description = "Name of the role."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.name))
    error_message = "The name must be 1 to 64 letters, digits or any of +=,.@_-."
  }
}

variable "repository" {
  description = "GitHub repository whose workflows may take the role, as owner/name, and no other."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "The repository must be owner/name, without wildcards."
  }
}

variable "branches" {
  description = "Branches whose workflows may take the role; a pull request is none."
  type        = set(string)
  default     = ["main"]

  validation {
    condition     = alltrue([for branch in var.branches : can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]*$", branch))])
    error_message = "Each of the branches must be a branch's whole name, without wildcards."
  }
}

variable "environments" {
  description = "GitHub environments whose jobs may take the role: for a job in one, GitHub names it in place of the branch, for pull requests too."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for environment in var.environments : can(regex("^[A-Za-z0-9._-]+$", environment))])
    error_message = "Each of the environments must be letters, digits, dots, dashes and underscores, without wildcards."
  }
}

variable "repository_arns" {
  description = "ARNs of the ECR repositories that may be pushed to, and no others."
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([
      for arn in var.repository_arns : can(regex("^arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/[^*]+$", arn))
    ])
    error_message = "Each of the repository_arns must be the ARN of an ECR repository, without wildcards."
  }
}

variable "policy_arns" {
  description = "Further managed policies, by a name of your own for each."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for arn in values(var.policy_arns) :
      can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/", arn)) && !can(regex("/AdministratorAccess$", arn))
    ])
    error_message = "Each of the policy_arns must be the ARN of a managed policy, and AdministratorAccess is none for CI."
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

variable "session_seconds" {
  description = "Longest session of the role, in seconds."
  type        = number
  default     = 3600

  validation {
    condition     = var.session_seconds >= 3600 && var.session_seconds <= 43200 && floor(var.session_seconds) == var.session_seconds
    error_message = "The session_seconds must be a whole number from 3600 to 43200."
  }
}

variable "provider_arn" {
  description = "ARN of the account's OIDC provider for GitHub; null makes it, which one role in each account must."
  type        = string
  default     = null

  validation {
    condition     = var.provider_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/token.actions.githubusercontent.com$", var.provider_arn))
    error_message = "The provider_arn must be the ARN of an OIDC provider for token.actions.githubusercontent.com."
  }
}

variable "thumbprints" {
  description = "SHA-1 of certificates above GitHub's; AWS trusts GitHub's authority by itself and ignores them, but provider 3.40 asks."
  type        = list(string)
  default     = ["6938fd4d98bab03faadb97b34396831e3780aea1", "1c58a3a8518e8759bf075b76b750d4f2df264fcd"]

  validation {
    condition = length(var.thumbprints) >= 1 && length(var.thumbprints) <= 5 && alltrue([
      for thumbprint in var.thumbprints : can(regex("^[0-9a-f]{40}$", thumbprint))
    ])
    error_message = "The thumbprints must be one to five SHA-1 sums, 40 lower case hexadecimal digits each."
  }
}
