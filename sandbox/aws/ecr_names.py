"""Names by which the sandbox's parts tell each other about ECR's repositories and images."""

RESTORED = "symphony:restored"
"""Tag of a repository that the sandbox put back after the API lost it; the next CreateRepository adopts it."""
PUSHED_AT = "X-Symphony-Pushed-At"
"""Header of a PutImage that puts an image back: the Unix time in seconds at which it was pushed."""
