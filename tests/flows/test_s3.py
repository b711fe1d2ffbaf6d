"""A result travels through S3: needs `dvc[s3]` and a local S3 server, which pip does not resolve beside each other.

python -m venv /tmp/moto && /tmp/moto/bin/pip install 'moto[server]'
pip install 'dvc[s3]'
EGOVLM_MOTO_SERVER=/tmp/moto/bin/moto_server python -m pytest tests/flows/test_s3.py
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.remote.clone import check_out, make_clone, use_dvc_remote
from flows.remote.remote_stage import published_snapshot, pull_inputs, push_inputs
from flows.remote.result import push_result, restore_result
from tests.flows.conftest import free_port
from tests.flows.service import until
from tests.flows.toy import finish

SERVER = os.environ.get("EGOVLM_MOTO_SERVER", "")

pytestmark = pytest.mark.skipif(
    not SERVER or importlib.util.find_spec("dvc_s3") is None,
    reason="needs dvc[s3] and EGOVLM_MOTO_SERVER, the path of a moto_server in an environment of its own",
)


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a local S3 server with the bucket `egovlm`; credentials are in the environment, as they have to be."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (tmp_path / "moto.log").open("wb") as log:
        server = subprocess.Popen([SERVER, "-H", "127.0.0.1", "-p", str(port)], env=environment, stdout=log, stderr=log)
    try:
        until(lambda: _answers(url), 60, "the S3 server answers")
        httpx.put(f"{url}/egovlm").raise_for_status()
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code < 500
    except httpx.HTTPError:
        return False


def _use_s3(project: Project, url: str) -> None:
    use_dvc_remote(project, "s3://egovlm/store")
    command = [sys.executable, "-m", "dvc", "remote", "modify", "--local", "egovlm", "endpointurl", url]
    subprocess.run(command, cwd=project.root, check=True)


def test_a_stage_travels_through_s3(project: Project, tmp_path: Path, s3: str) -> None:
    def silent(text: str, is_progress: bool) -> None:
        pass

    _use_s3(project, s3)
    graph = Graph(project)
    finish(graph, "extract_frames", "validate_dataset")
    worker = make_clone(str(project.root), tmp_path / "worker")
    _use_s3(worker, s3)
    push_inputs(graph, "train_grpo", "egovlm", silent)
    with published_snapshot(project, ".") as commit:
        check_out(worker, commit)
    there = Graph(worker)
    pull_inputs(there, "train_grpo", silent)
    finish(there, "train_grpo")
    digest = push_result(there, "train_grpo", silent)
    restore_result(graph, "train_grpo", f"result {digest}", "egovlm", silent)
    assert not (project.root / "ran/train_grpo").exists()
    policy = "data/models/policy/out.json"
    assert (project.root / policy).read_bytes() == (worker.root / policy).read_bytes()
    assert "AWS" not in "".join(f.read_text() for f in (project.root / ".dvc").glob("config*"))
    there.close()
    graph.close()
