"""What turns flows into Prefect deployments: work pools, concurrency limits, blocks."""
