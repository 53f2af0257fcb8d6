variable "name" {
  description = "Name of the cluster; names of resources begin with it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.name))
    error_message = "The name must be lower case letters, digits and dashes, beginning with a letter, at most 40 characters."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes version of the control plane, such as 1.34; raised by one minor at a time."
  type        = string

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "The kubernetes_version must be a minor version, such as 1.34."
  }
}

variable "subnet_ids" {
  description = "Private subnets of the control plane's interfaces, the nodes and the pods, in at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2 && alltrue([for subnet in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", subnet))])
    error_message = "The subnet_ids must be at least two ids of subnets, such as subnet-0123456789abcdef0."
  }
}

variable "security_group_ids" {
  description = "Further security groups of the control plane's interfaces; EKS makes one of its own beside them."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for group in var.security_group_ids : can(regex("^sg-[0-9a-f]+$", group))])
    error_message = "Each of the security_group_ids must be the id of a security group, such as sg-0123456789abcdef0."
  }
}

variable "public_access_cidrs" {
  description = "Address blocks that reach the API from outside the VPC; none of them keeps it private."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for block in var.public_access_cidrs : can(cidrhost(block, 0)) && !can(regex("/0$", block))])
    error_message = "Each of the public_access_cidrs must be an address block, and not the whole internet."
  }
}

variable "log_types" {
  description = "Logs of the control plane that go to CloudWatch."
  type        = set(string)
  default     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]

  validation {
    condition = alltrue([
      for type in var.log_types : contains(["api", "audit", "authenticator", "controllerManager", "scheduler"], type)
    ])
    error_message = "Each of the log_types must be api, audit, authenticator, controllerManager or scheduler."
  }
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653], var.log_days)
    error_message = "The log_days must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653."
  }
}

variable "node_groups" {
  description = "Groups of nodes by name: instance types, ON_DEMAND or SPOT, least and most nodes, disk in GiB, labels."
  type = map(object({
    instance_types = optional(list(string), ["t3.large"])
    capacity_type  = optional(string, "ON_DEMAND")
    minimum        = optional(number, 2)
    maximum        = optional(number, 4)
    disk_gib       = optional(number, 50)
    labels         = optional(map(string), {})
  }))
  default = {}

  validation {
    condition = alltrue([
      for name, group in var.node_groups :
      can(regex("^[a-z][a-z0-9-]{0,39}$", name)) && length(group.instance_types) > 0 &&
      contains(["ON_DEMAND", "SPOT"], group.capacity_type) &&
      group.minimum >= 0 && group.maximum >= 1 && group.minimum <= group.maximum && group.disk_gib >= 20
    ])
    error_message = "Each of the node_groups needs a lower case name, instance_types, a capacity_type of ON_DEMAND or SPOT, a minimum of at most its maximum, and a disk_gib of at least 20."
  }
}

variable "fargate_namespaces" {
  description = "Namespaces whose pods run on Fargate."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for namespace in var.fargate_namespaces : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", namespace))])
    error_message = "Each of the fargate_namespaces must be the name of a namespace."
  }
}

variable "thumbprints" {
  description = "SHA-1 of certificates above the issuer's; AWS trusts Amazon's authority by itself and ignores them, but provider 3.40 asks."
  type        = list(string)
  default     = ["9e99a48a9960b14926bb7f3b02e22da2b0ab7280"]

  validation {
    condition = length(var.thumbprints) >= 1 && length(var.thumbprints) <= 5 && alltrue([
      for thumbprint in var.thumbprints : can(regex("^[0-9a-f]{40}$", thumbprint))
    ])
    error_message = "The thumbprints must be one to five SHA-1 sums, 40 lower case hexadecimal digits each."
  }
}

variable "tags" {
  description = "Tags of the nodes' instances and volumes, which the provider's default_tags do not reach."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !can(regex("^aws:", key)) && length(key) >= 1 && length(key) <= 128])
    error_message = "Each key of the tags must have 1 to 128 characters and not begin with aws:."
  }
}
