"""One engine process: started on a free port, watched, ended with all that it started."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx

from pipeline.engine.faults import Lost, refusal
from pipeline.engine.options import Options, command, environment

_LOOK_SECONDS = 0.5
_END_SECONDS = 5.0
_SHORT_SECONDS = 0.05
_NOT_INHERITED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PYTHONHOME")


class Server:
    """vLLM's server for the policy in `folder`. It has no place beyond its starter: its processes end with this one."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.options, self.token = options, secrets.token_hex(16)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = options.room / f"engine-{os.environ.get('LOCAL_RANK', '0')}.log"
        inherited = {k: v for k, v in os.environ.items() if k not in _NOT_INHERITED}
        if self.log.is_file():  # of the one that was lost
            self.log.replace(self.log.with_suffix(".previous.log"))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command(options, folder, self.port),
                env=inherited | environment(options, self.token),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Returns once it answers as ours.

        Raises:
            Lost: it ended, or something else listens on its port: another start may help.
            ModelError: it ended for a reason that stays, or is not ready in time.
        """
        deadline = time.monotonic() + self.options.start_seconds
        while not self._answers():
            if not self.runs():
                raise refusal(self.log, "the engine did not start")
            if time.monotonic() > deadline:
                self.stop()
                raise refusal(self.log, f"the engine was not ready within {self.options.start_seconds} s")
            time.sleep(_LOOK_SECONDS)

    def _answers(self) -> bool:
        try:
            answer = httpx.get(f"{self.url}/health", headers=self.headers, timeout=5, trust_env=False)
        except httpx.TransportError:
            return False
        if answer.status_code != 200:
            self.stop()
            raise Lost(f"port {self.port} was taken by another server (it answers {answer.status_code})")
        return self.runs()

    @property
    def headers(self) -> dict[str, str]:
        """What lets a request in."""
        return {"Authorization": f"Bearer {self.token}"}

    def runs(self) -> bool:
        """Whether the process is there."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End it and all of its processes: asked first, then killed.

        The first alone is killed at first: its processes end with it (`inside/sitecustomize.py`), but for those that
        then tidy /dev/shm.
        """
        self._signal_all(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)
        deadline = time.monotonic() + _END_SECONDS
        while self._signal_all(0) and time.monotonic() < deadline:
            time.sleep(_SHORT_SECONDS)
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: int) -> bool:
        """Send a signal to its process group (0: none); whether anyone is in it."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return False
        return True


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port
