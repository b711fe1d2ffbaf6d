"""The Prefect server on this machine: pools, workers, schedule, and runs whose worker died."""
