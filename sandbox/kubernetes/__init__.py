"""The sandbox's Kubernetes: a real control plane and one real node, all of it below the state folder."""
