"""When and where: order, retries, workers, schedules, promotion. The only room that knows Prefect and DVC."""

from pipeline.environment import apply_defaults

apply_defaults()  # before DVC is imported, and also when a worker that was started by hand runs the flows
