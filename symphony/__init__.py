"""The base: typed configuration, the domain's models, running an external tool, errors."""
