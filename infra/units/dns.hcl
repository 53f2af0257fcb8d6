# The environment's zone and certificate. Its own unit names the `domain`, and `wait = false` until that is delegated.

terraform {
  source = "../../../modules/dns"
}
