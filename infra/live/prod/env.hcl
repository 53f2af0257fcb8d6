# What sets this environment apart; the account and region are those of symphony.yaml.

locals {
  name    = "prod"
  account = "123456789012"
  region  = "eu-central-1"

  cidr  = "10.40.0.0/16"
  zones = ["eu-central-1a", "eu-central-1b"]
}
