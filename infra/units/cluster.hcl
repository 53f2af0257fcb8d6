# The environment's Kubernetes cluster. The unit `network` needs dns_hostnames and a way out, such as nat = "single".

locals {
  environment = read_terragrunt_config(find_in_parent_folders("env.hcl")).locals
}

# Mocks serve `validate` alone: an absent or empty list would let them into plans.
dependency "network" {
  config_path = "../network"

  mock_outputs_allowed_terraform_commands = ["validate"]
  mock_outputs = {
    private_subnet_ids = { a = "subnet-00000000000000000", b = "subnet-00000000000000001" }
  }
}

terraform {
  source = "../../../modules/eks"
}

inputs = {
  name               = local.environment.name
  kubernetes_version = "1.34"
  subnet_ids         = values(dependency.network.outputs.private_subnet_ids)
  node_groups        = { general = {} }

  tags = {
    environment = local.environment.name
    managed-by  = "symphony"
    unit        = "${local.environment.name}/cluster"
  }
}
