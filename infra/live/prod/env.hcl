# What sets this environment apart.

locals {
  name = "prod"
  cidr = "10.40.0.0/16"
}
