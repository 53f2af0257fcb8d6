"""Tags by which the sandbox's parts tell each other about ECR repositories."""

RESTORED = "symphony:restored"
"""Of a repository that the sandbox put back after the API lost it; the next CreateRepository adopts it."""
