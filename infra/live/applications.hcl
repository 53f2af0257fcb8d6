# Applications that have an ECR repository in every environment, named <environment>/<application>.
# A name taken out destroys its repository; AWS refuses while images are in it.

locals {
  applications = ["hello", "greet"]
}
