"""The Prefect server of this machine: pools, workers, schedule, and runs whose worker died."""
