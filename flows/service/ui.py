"""`make ui`: a Prefect server, pools, deployments and workers on this machine, all on loopback. Ctrl-C ends them
all."""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx
import psutil

from flows.dvc.project import PROJECT_VARIABLE, Project, find_project
from flows.processes.guard import MARK
from flows.processes.process import guarded
from flows.summary import REPORT_URL_VARIABLE
from pipeline.errors import EgovlmError, StageError
from pipeline.layout import DATA, LIVE_PAGE

HOST = "127.0.0.1"
HEARTBEAT_SECONDS = 30  # the least Prefect allows; see flows/service/automations.py
SERVER_SECONDS = 120.0  # a first start creates the database; two busy cores take half a minute
POOLS = ("cpu", "gpu")
REPOSITORY = Path(__file__).resolve().parents[2]  # where prefect.yaml is


class LocalServices:
    """The processes of one machine: a server, workers, a file server for the reports.

    Args:
        project: the checkout that the `cpu` worker works in.
        port: of the Prefect API and UI; the reports are served on the port above it.
        gpu_project: the clone (`python -m flows.remote.clone`) that the `gpu` worker works in; None: no such worker.
    """

    def __init__(self, project: Project, port: int, gpu_project: Path | None = None) -> None:
        self.project, self.port, self.gpu_project = project, port, gpu_project
        self.api = f"http://{HOST}:{port}/api"
        self.reports = f"http://{HOST}:{port + 1}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()
        self._token = ""

    def __enter__(self) -> "LocalServices":
        with ExitStack() as stack:
            self._token = stack.enter_context(guarded())
            stack.callback(self.stop)
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start server, pools, deployments and workers; returns when the workers are started.

        Raises:
            StageError: a port is in use (by another `make ui`, whose server would be mistaken for ours).
        """
        for port in (self.port, self.port + 1):
            _refuse_taken(port)
        self._start_reports()
        self.start_server()
        for pool in POOLS:
            self._prefect("work-pool", "create", pool, "--type", "process", "--overwrite")
        self._prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(REPOSITORY / "prefect.yaml"))
        self._run(["flows.service.automations"])
        self.start_worker("cpu", self.project.root)
        if self.gpu_project is not None:
            self.start_worker("gpu", self.gpu_project, limit=1)  # its files are not served, so it gets no links to them

    def start_server(self) -> None:
        """Start the Prefect server and wait until it answers.

        Raises:
            StageError: it ended or did not answer; the message holds its last lines.
        """
        self._start("server", ["prefect", "server", "start", "--host", HOST, "--port", str(self.port)])
        deadline = time.monotonic() + SERVER_SECONDS
        while not self._healthy():
            if self.processes["server"].poll() is not None or time.monotonic() > deadline:
                log = self._log("server").read_text(errors="replace").strip().splitlines()
                raise StageError(f"the Prefect server did not start: {' | '.join(log[-5:])}")
            time.sleep(0.3)

    def _start_reports(self) -> None:
        data = self.project.root / DATA
        data.mkdir(exist_ok=True)
        shutil.copyfile(Path(__file__).with_name("page") / "live.html", self.project.root / LIVE_PAGE)
        self._start("reports", ["http.server", "--bind", HOST, "--directory", str(data), str(self.port + 1)])

    def start_worker(self, pool: str, root: Path, limit: int | None = None) -> None:
        """Start a worker of `pool` that works in the checkout `root`."""
        at_most = ["--limit", str(limit)] if limit else []
        command = [
            "prefect",
            "worker",
            "start",
            "--pool",
            pool,
            "--type",
            "process",
            "--name",
            f"{pool}-worker",
            *at_most,
        ]
        served = {} if root == self.project.root else {REPORT_URL_VARIABLE: ""}
        self._start(f"worker-{pool}", command, {PROJECT_VARIABLE: str(root), **served})

    def environment(self) -> dict[str, str]:
        """Environment of everything that talks to this server."""
        return {
            **os.environ,
            "PREFECT_API_URL": self.api,
            "PREFECT_WORKER_QUERY_SECONDS": os.environ.get("PREFECT_WORKER_QUERY_SECONDS", "3"),
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
            PROJECT_VARIABLE: str(self.project.root),
            REPORT_URL_VARIABLE: self.reports,
        }

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.api}/health", timeout=2).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def _log(self, name: str) -> Path:
        return self.project.private / "log" / f"{name}.log"

    def _start(self, name: str, module: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        log = self._log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=self.project.root,
                env={**self.environment(), **(env or {}), MARK: self._token},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only us; we end the others in order
            )

    def _prefect(self, *arguments: str) -> None:
        self._run(["prefect", *arguments])

    def _run(self, module: Sequence[str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *module],
            cwd=REPOSITORY,
            env=self.environment(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise StageError(
                f"`python -m {' '.join(module)}` failed: {' '.join((done.stdout + done.stderr).split())[-800:]}"
            )

    def stop(self) -> None:
        """End workers first (so that they can report), then the server, then whatever they left behind."""
        for name in reversed(list(self.processes)):
            stop_tree(self.processes.pop(name))

    def watch(self) -> NoReturn:
        """Wait until a process ends; none should.

        Raises:
            StageError: a process ended; the message names it and its log.
        """
        while True:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise StageError(f"{name} ended with exit code {process.returncode}; see {self._log(name)}")
            time.sleep(1)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just released is free
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StageError(
                f"port {port} of {HOST} is in use: is another `make ui` running? If not, use another port: `python "
                "-m flows.service.ui --port N`"
            ) from error


def stop_tree(process: "subprocess.Popen[bytes]", grace_seconds: float = 15.0) -> None:
    """End a process and its descendants: SIGTERM, then SIGKILL."""
    try:
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        tree = []
    if process.poll() is None:
        process.terminate()
    _, alive = psutil.wait_procs(tree, timeout=grace_seconds)
    for stubborn in alive:
        stubborn.kill()
    process.wait()


def _raise_interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: run until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m flows.service.ui", description=__doc__)
    parser.add_argument("--port", type=int, default=4200)
    parser.add_argument(
        "--gpu-clone", type=Path, help="start a `gpu` worker in this clone (made by `python -m flows.remote.clone`)"
    )
    options = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):  # also when a shell started us in the background with SIGINT off
        signal.signal(number, _raise_interrupt)
    print("egovlm: starting the Prefect server, pools, deployments and workers ...", flush=True)
    try:
        with LocalServices(find_project(), options.port, options.gpu_clone) as machine:
            print(_welcome(machine), flush=True)
            machine.watch()
    except EgovlmError as error:
        print(f"egovlm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("egovlm: stopped", flush=True)
    return 0


def _welcome(machine: LocalServices) -> str:
    elsewhere = "" if machine.port == 4200 else f"    export PREFECT_API_URL={machine.api}\n"
    workers = ", ".join(name for name in machine.processes if name.startswith("worker"))
    return (
        f"UI       http://{HOST}:{machine.port}      reports  {machine.reports}/reports/index.html\n"
        f"workers  {workers}; logs in {machine.project.private / 'log'}\n"
        f"start a run from another terminal:\n{elsewhere}    prefect deployment run egovlm/full --watch\n"
        "Ctrl-C stops everything."
    )


if __name__ == "__main__":
    sys.exit(main())
