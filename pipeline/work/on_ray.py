"""`run_parallel` on a Ray cluster, for work that outgrows one machine. Needs the extra `[ray]`.

Joins the cluster that `RAY_ADDRESS` names, or starts one on this machine. Workers read the videos by the same paths,
so a cluster needs a shared file system. If a node is lost, Ray runs its tasks again elsewhere.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.errors import StageError
from pipeline.work.items import ATTEMPTS, GRACE, Function, Result, Workers, call, lost_worker


def run_on_ray(function: Function, tasks: Sequence[Any], workers: Workers) -> Iterator[Result]:
    """See `run_parallel`. At most `workers.number` tasks run at a time, so results never pile up.

    Raises:
        StageError: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise StageError(
            "executor: ray needs an extra: `pip install 'egovlm[ray]'`, or set executor: processes"
        ) from error
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(address=os.environ.get("RAY_ADDRESS"), include_dashboard=False, log_to_driver=False)
    try:
        yield from _run(ray, function, tasks, workers)
    finally:
        if started_here:
            ray.shutdown()


def _run(ray: Any, function: Function, tasks: Sequence[Any], workers: Workers) -> Iterator[Result]:
    remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(call)
    queue = deque(enumerate(tasks))
    under_way: dict[Any, int] = {}
    while queue or under_way:
        while queue and len(under_way) < workers.number:
            position, task = queue.popleft()
            under_way[remote.remote(function, task)] = position
        ready, _ = ray.wait(list(under_way), timeout=workers.seconds_limit * GRACE)
        for reference in ready:
            yield under_way.pop(reference), _result(ray, reference)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as error:
        return lost_worker(type(error).__name__)
    except ray.exceptions.RayTaskError as error:
        raise error.as_instanceof_cause() from None
