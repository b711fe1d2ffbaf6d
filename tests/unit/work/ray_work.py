"""A slow function for Ray workers that says on which node it ran."""

import time
from typing import Any

from pipeline.errors import ItemError


def slow(task: dict[str, Any]) -> dict[str, Any]:
    """Wait, then give the value and the node."""
    import ray

    time.sleep(task["seconds"])
    if task["do"] == "bad":
        raise ItemError("truncated", "by order")
    return {"value": task["value"], "node": ray.get_runtime_context().get_node_id()}
