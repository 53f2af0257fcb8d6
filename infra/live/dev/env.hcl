# What sets this environment apart.

locals {
  name = "dev"
  cidr = "10.20.0.0/16"
}
