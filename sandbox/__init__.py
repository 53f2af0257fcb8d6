"""The embedded default: a whole local world of real parts on one machine."""
