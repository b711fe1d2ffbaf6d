"""Where a rehearsal happens: a copy of this checkout with its own git and DVC, and the environment of its commands.

Nothing leaves the machine: every address but the loopback's goes to a proxy that is not there.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "http://127.0.0.1:9"  # no service listens there
SECONDS = 3000.0  # no command takes longer, on a machine that is busy with other things too


class Failed(Exception):
    """A step did not do what it should."""


class LeftOut(Exception):
    """A step cannot be done here; the text says why."""


@dataclass(frozen=True)
class Scale:
    """How much is rendered and trained."""

    clips: int = 12  # of EgoSchema's 500
    shorts: int = 10
    longs: int = 2
    clip_rate: int = 2  # frames a second of EgoSchema's clips


@dataclass
class Place:
    """The folder of one rehearsal."""

    root: Path
    shared: Path | None
    scale: Scale = field(default_factory=Scale)
    family: str = "qwen2_5_vl"  # of the stand-in
    endpoint: str = NOBODY
    code: Path | None = None  # whose modules the commands import; None: the copy's

    @property
    def project(self) -> Path:
        """The copy of the checkout."""
        return self.root / "project"

    @property
    def log(self) -> Path:
        """What all commands printed."""
        return self.root / "log.txt"

    def beside(self, name: str) -> Path | None:
        """A folder of real data that lies beside the repository, if it does."""
        found = None if self.shared is None else self.shared / name
        return found if found is not None and found.is_dir() else None

    def environment(self) -> dict[str, str]:
        """Of every command."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NOBODY)
        fixed = {"NO_PROXY": "127.0.0.1,localhost", "HF_ENDPOINT": self.endpoint, "HF_HOME": str(self.root / "hub")}
        quiet = {"WANDB_MODE": "offline", "HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        return {**os.environ, **proxies, **fixed, **quiet, "PATH": path, "PYTHONPATH": str(self.code or self.project)}

    def run(
        self, *command: str, codes: tuple[int, ...] = (0,), cwd: Path | None = None, answer: str | None = None
    ) -> str:
        """Run a command in the project; its output.

        Raises:
            Failed: its exit code is none of `codes`, or it ran too long.
        """
        try:
            done = subprocess.run(
                command, cwd=cwd or self.project, env=self.environment(), stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, check=False, timeout=SECONDS, input=answer,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{' '.join(command)} ran for more than {SECONDS:.0f} s") from error
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n{done.stdout}[exit code {done.returncode}]\n\n")
        if done.returncode not in codes:
            last = "; ".join(line for line in done.stdout.splitlines()[-4:] if line.strip())
            raise Failed(f"`{' '.join(command)}` ended with code {done.returncode}: {last[-600:]}")
        return done.stdout

    def tracebacks(self) -> int:
        """How many Python tracebacks the commands printed."""
        return self.log.read_text("utf-8").count("Traceback (most recent call last)") if self.log.is_file() else 0

    def params(self) -> dict[str, Any]:
        """The project's params.yaml."""
        loaded: dict[str, Any] = yaml.safe_load((self.project / "params.yaml").read_text("utf-8"))
        return loaded


def make_project(place: Place) -> None:
    """Copy the checkout as it is in the working tree into a repository of its own; nothing if that is done."""
    if (place.project / ".git").is_dir():
        return
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    products = ("data/reports/", "dvc.lock")
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not name.startswith(products):
            target = place.project / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    place.run("git", "init", "-q")
    for key, value in {"user.email": "rehearsal@example.invalid", "user.name": "rehearsal"}.items():
        place.run("git", "config", key, value)
    place.run("git", "add", "-A")
    place.run("git", "commit", "-qm", "rehearsal")


def made_up_overlay(place: Place, values: Mapping[str, Any]) -> None:
    """Set values by dotted key in the project's params.yaml."""
    from pipeline.profiles import nested, write_merged

    write_merged(place.project, nested(values))
