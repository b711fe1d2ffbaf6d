"""The Ray executor on a real local cluster of two nodes; slow (a cluster takes half a minute to start)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(280),
    pytest.mark.skipif(os.environ.get("EGOVLM_SLOW") != "1", reason="starts Ray clusters: EGOVLM_SLOW=1 runs it"),
]

SCRIPT = """
import sys, threading, time
import ray
from ray.cluster_utils import Cluster
from pipeline.errors import ItemError
from pipeline.work.items import Workers
from pipeline.work.parallel import run_parallel
from tests.unit.work.ray_work import slow

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False)
tasks = [{"value": i, "seconds": 0.3, "do": "bad" if i == 5 else ""} for i in range(16)]
done, nodes = {}, set()
for position, result in run_parallel(slow, tasks, Workers("ray", 2, 60.0, 4096)):
    done[position] = result
    if not isinstance(result, ItemError):
        nodes.add(result["node"])
    if len(done) == 5 and sys.argv[1] == "kill":
        cluster.remove_node(second, allow_graceful=False)
assert sorted(done) == list(range(16)), sorted(done)
assert isinstance(done[5], ItemError) and done[5].reason == "truncated", done[5]
assert all(done[i]["value"] == i for i in range(16) if i != 5), done
print("nodes", len(nodes))
ray.shutdown()
cluster.shutdown()
"""


def run(mode: str, repository: Path) -> str:
    pytest.importorskip("ray")
    environment = {**os.environ, "PYTHONPATH": str(repository), "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        timeout=270,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_two_nodes_share_the_work(repository: Path) -> None:
    assert "nodes 2" in run("keep", repository)


def test_a_node_that_dies_loses_nothing(repository: Path) -> None:
    assert "nodes" in run("kill", repository)
