# The AWS account of every environment that has no file of this name in its own folder.

locals {
  account = "123456789012"
}
