"""One Prefect server and one worker per pool for all tests of this folder; every test gets its own toy projects.

A worker finds its project in $EGOVLM_PROJECT, so a test's projects are put in place of the folder the worker knows.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.dvc.project import Project
from flows.remote.clone import make_clone, use_dvc_remote
from flows.service.ui import LocalServices
from pipeline.profiles import write_merged
from tests.flows.service import Service
from tests.flows.toy import git, make_project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deprecations inside DVC's own libraries are not ours to fix; tests with a server may take longer, and come last
    so that it does not idle beside the others."""
    items.sort(key=lambda item: "machine" in getattr(item, "fixturenames", ()))  # stable
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"))
            if "machine" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(600))  # a server and workers on a busy machine


def free_port() -> int:
    """A port whose successor is free as well."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return int(port)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A toy project."""
    return Project(make_project(tmp_path / "toy"))


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServices]:
    """A running server with workers for both pools; its two project folders are `sites/cpu` and `sites/gpu`."""
    sites = tmp_path_factory.mktemp("sites")
    changed = {
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
        "OMP_NUM_THREADS": "1",
    }
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    make_project(sites / "cpu")
    (sites / "gpu").mkdir()
    try:
        cpu = Project(sites / "cpu")
        with (
            LocalServices(cpu, free_port(), sites / "gpu") as running,
            temporary_settings({PREFECT_API_URL: running.api}),
        ):
            yield running
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture
def service(machine: LocalServices) -> Iterator[Service]:
    """The server with a fresh toy project at the place its `cpu` worker works in."""
    cpu = machine.project.root
    _make_anew(cpu)
    service = Service(machine, Project(cpu))
    yield service
    service.cancel_all()


@pytest.fixture
def pair(service: Service, tmp_path: Path) -> Service:
    """As `service`, with a bare git remote, a DVC remote and a worker's clone at the place of the `gpu` worker."""
    cpu, gpu = service.project.root, service.gpu_root
    git(tmp_path, "clone", "--quiet", "--bare", str(cpu), "origin.git")
    git(cpu, "remote", "add", "origin", str(tmp_path / "origin.git"))
    shutil.rmtree(gpu, ignore_errors=True)
    use_dvc_remote(service.project, str(tmp_path / "dvc-remote"))
    write_merged(cpu, {"publish": {"git_remote": "origin", "dvc_remote": "egovlm"}})
    make_clone(str(tmp_path / "origin.git"), gpu, str(tmp_path / "dvc-remote"))
    return service


def _make_anew(root: Path) -> None:
    shutil.rmtree(root)
    make_project(root)
