"""When and where: order, retries, workers, schedules, promotion. The only room that knows Prefect and DVC."""
