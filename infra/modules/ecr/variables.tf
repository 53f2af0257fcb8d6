variable "repositories" {
  description = "Names of the repositories, such as dev/hello."
  type        = set(string)

  validation {
    condition = alltrue([
      for name in var.repositories :
      can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", name)) && length(name) >= 2 && length(name) <= 256
    ])
    error_message = "Each of the repositories must be lower case letters and digits, parted by single dots, dashes, underscores or slashes, 2 to 256 characters."
  }
}

variable "untagged_days" {
  description = "Days after which an image without a tag expires."
  type        = number
  default     = 14

  validation {
    condition     = var.untagged_days >= 1 && floor(var.untagged_days) == var.untagged_days
    error_message = "The untagged_days must be a whole number of at least 1."
  }
}

variable "pull_accounts" {
  description = "Ids of other AWS accounts that may pull from these repositories."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for account in var.pull_accounts : can(regex("^[0-9]{12}$", account))])
    error_message = "Each of the pull_accounts must be the id of an AWS account: twelve digits."
  }
}
