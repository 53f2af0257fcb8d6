# The region of every environment that has no file of this name in its own folder.

locals {
  region = "eu-central-1"
  zones  = ["eu-central-1a", "eu-central-1b"]
}
