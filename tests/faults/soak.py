"""Many incremental runs of a real service over a folder that keeps changing, with kills between: does anything grow?

    python -m tests.faults.soak [--minutes 30] [--seed 0] [--table soak.csv]

Every round adds, edits and deletes videos of a `local` source at random and starts `egovlm/full`, the data's stages or
(every third time) all. Every other run, on average, a stage or the run itself gets kill -9 at a random moment, and a
second run must end it. Every ninth round takes away what no kept experiment needs, as docs/scaling.md says. At the end
the data that all these rounds have left must be the same bytes as one run in a new folder makes of the same videos.
"""

import argparse
import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings

from benchmarks.memory import peak_mb
from flows.dvc.lock import read_holder
from flows.dvc.project import Project as FlowProject
from flows.service.ui import LocalServices
from pipeline.records import Annotation
from pipeline.sources.synthetic import SyntheticParams as World
from pipeline.sources.synthetic import SyntheticSource
from tests.faults.campaign import make_tiny, undisturbed
from tests.faults.harness import leftovers, products, stages_of
from tests.flows.conftest import free_port
from tests.flows.service import Service
from tests.toy.project import Project

GC_EVERY = 9
ALL_STAGES_EVERY = 3
KEPT_EXPERIMENTS = 3
DATA = ("data/raw/", "data/questions/", "data/frames/", "data/keyframes/", "data/dataset/")
MB = 2**20


class Folder:
    """A folder of real H.264 files and a JSONL file of questions on them, as a person would keep them."""

    def __init__(self, root: Path, rng: random.Random, videos: int) -> None:
        self.root, self.rng = root, rng
        world = World(kind="synthetic", videos_train=2000, videos_dev=0, videos_test=0, questions_per_video=2,
                      families=("taken", "moved"), width=144, height=144, frames_per_second=10, seconds_min=6.0,
                      seconds_max=7.0)  # fmt: skip
        self.source = SyntheticSource("pool", 77, world)
        self.rows: dict[str, list[Annotation]] = {}
        for row in self.source.annotations():
            assert isinstance(row, Annotation)
            self.rows.setdefault(row.video_id, []).append(row)
        self.unused = iter(self.source.list_videos())
        self.content: dict[str, str] = {}  # name of the file -> which of the pool's videos it is
        self.made = 0
        (root / "videos").mkdir(parents=True)
        for _ in range(videos):
            self.add()
        self.write_questions()

    def add(self) -> None:
        self.made += 1
        self.put(f"v{self.made:04d}")

    def put(self, name: str) -> None:
        """A new file, or other content for one."""
        item = next(self.unused)
        self.source.fetch(item, self.root / "videos").replace(self.root / f"videos/{name}.mp4")
        self.content[name] = item.video_id

    def change(self) -> str:
        """Some additions, edits and deletions; says what."""
        added, edited, deleted = (self.rng.randint(0, 3) for _ in range(3))
        for name in self.rng.sample(sorted(self.content), deleted):
            del self.content[name]
            (self.root / f"videos/{name}.mp4").unlink()
        for name in self.rng.sample(sorted(self.content), edited):
            self.put(name)
        for _ in range(added + max(0, 12 - len(self.content) - added)):
            self.add()
        self.write_questions()
        return f"+{added} ~{edited} -{deleted}"

    def write_questions(self) -> None:
        rows = [self._row(name, row) for name, known in sorted(self.content.items()) for row in self.rows[known]]
        (self.root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def _row(self, name: str, row: Annotation) -> dict[str, object]:
        told = row.model_dump(include={"family", "question", "options", "answer", "keyframe_seconds"})
        return {"question_id": f"{name}-{row.question_id}", "video_id": f"{name}.mp4", **told}

    def params(self) -> dict[str, object]:
        return {"kind": "local", "folder": str(self.root / "videos"), "questions": str(self.root / "questions.jsonl"),
                "format": "native", "frame_rate": None, "split": "train", "licence": "MIT"}  # fmt: skip


@dataclass
class Round:
    """One row of the table; megabytes unless said otherwise, after the round's last run."""

    number: int
    minutes: float
    change: str
    killed: str
    seconds: float  # of the run that ended well
    server: float
    worker: float
    reports: float
    open_files: float  # of these three
    stage_peak: float  # the largest process of any stage
    temporary: float
    data: float
    cache: float
    prefect: float


class Peaks(Thread):
    """Watches the stages' processes; the kernel keeps each one's peak until it ends."""

    def __init__(self, root: Path) -> None:
        super().__init__(daemon=True)
        self.root, self.ended, self.peak = root, Event(), 0.0

    def run(self) -> None:
        while not self.ended.wait(0.5):
            for process in stage_processes(self.root):
                self.peak = max(self.peak, peak_mb(process.pid))


def stage_processes(root: Path) -> list[psutil.Process]:
    """Processes of stages in `root`, their workers too."""
    found = []
    for process in psutil.process_iter():
        try:
            if "pipeline.stages" in process.cmdline() and Path(process.cwd()) == root:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def size_mb(folder: Path) -> float:
    """Of all files below it; some may go away meanwhile."""
    done = subprocess.run(["du", "-sk", str(folder)], capture_output=True, text=True)
    return int(done.stdout.split()[0]) / 1024 if done.stdout else 0.0


def measure(machine: LocalServices, stage_peak: float, folders: dict[str, Path]) -> dict[str, float]:
    """What the service's processes and the folders hold."""
    processes = {name: psutil.Process(process.pid) for name, process in machine.processes.items()}
    memory = {name.removesuffix("-cpu"): one.memory_info().rss / MB for name, one in processes.items()}
    files = float(sum(one.num_fds() for one in processes.values()))
    sizes = {name: size_mb(folder) for name, folder in folders.items()}
    return {**memory, "open_files": files, "stage_peak": stage_peak, **sizes}


def one_run(service: Service, targets: list[str], kill_after: float | None, rng: random.Random) -> tuple[str, float]:
    """One run to its end, disturbed before it if `kill_after`: what was killed, seconds of the last run."""
    killed = disturb(service, targets, kill_after, rng) if kill_after is not None else ""
    began = time.monotonic()
    state = service.run(seconds=400, targets=targets).state
    assert state is not None and state.is_completed(), f"{killed}: the next run ended {state}"
    return killed, time.monotonic() - began


def disturb(service: Service, targets: list[str], after: float, rng: random.Random) -> str:
    """Start a run and kill what is running `after` seconds later: the stage, or now and then the run with it."""
    run_id = service.start(targets=targets)
    deadline = time.monotonic() + after
    while time.monotonic() < deadline or not stage_processes(service.project.root):
        if (state := service.read(run_id).state) is not None and state.is_final():
            return "missed"
        time.sleep(0.05)
    with contextlib.suppress(IndexError, psutil.NoSuchProcess):
        stage = stage_processes(service.project.root)[0]
        name = stage.cmdline()[-1]
        victim = read_holder(service.project) if rng.random() < 0.3 else None
        os.kill(victim.pid if victim else stage.pid, signal.SIGKILL)
        state = service.wait(run_id, 120).state
        assert state is not None and not state.is_completed(), f"{name} was killed, but the run ended {state}"
        return f"{name}{' with its run' if victim else ''}"
    service.wait(run_id, 400)
    return "missed"


def collect_garbage(project: Project) -> None:
    """What docs/scaling.md tells people to do, and what it must leave: a whole workspace."""
    kept = experiments(project)[:KEPT_EXPERIMENTS]
    project.run("dvc", "exp", "remove", "--quiet", "--keep", *kept)
    assert experiments(project) == kept
    project.run("dvc", "gc", "--workspace", "--all-experiments", "--all-tags", "--force", "--quiet")
    assert project.run("dvc", "status", "--quiet", check=False).returncode == 0, project.run("dvc", "status").stdout


def experiments(project: Project) -> list[str]:
    """Names, the newest first."""
    wanted = ("--sort=-creatordate", "--format=%(refname:lstrip=4)", "refs/exps")
    names = project.run("git", "for-each-ref", *wanted).stdout.split()
    return [name for name in names if "/" not in name and "-" in name]


def slope(values: list[float]) -> float:
    """Least squares, per round."""
    return float(np.polyfit(range(len(values)), values, 1)[0])


def report(rounds: list[Round], settled: int) -> None:
    """First, last and slope of what must not grow, without the rounds in which everything starts."""
    print(f"\n{len(rounds)} rounds; slopes over the last {len(rounds) - settled}")
    for name in [f.name for f in fields(Round) if f.name not in ("number", "minutes", "change", "killed")]:
        values = [float(getattr(one, name)) for one in rounds[settled:]]
        if len(values) > 1:
            told = f"first {values[0]:8.1f}  largest {max(values):8.1f}  last {values[-1]:8.1f}"
            print(f"{name:<12} {told}  a round {slope(values):+.3f}")


def make_soaked(folder: Path, source: Folder) -> Project:
    """The tiny project with the folder as a second source."""
    project = make_tiny(folder)
    params = project.params()
    params["download_videos"]["sources"]["mine"] = source.params()
    params["validate_dataset"]["egoschema_windows"] = "none"
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    project.run("git", "commit", "-qam", "a second source")
    return project


def soak(folder: Path, minutes: float, rng: random.Random, table: Path) -> list[Round]:
    """Rounds until the time is over; every row is written at once."""
    source = Folder(folder / "mine", rng, 20)
    project = make_soaked(folder / "project", source)
    temporary, prefect = folder / "tmp", folder / "prefect"
    folders = {"data": project.root / "data", "cache": project.root / ".dvc/cache"}
    temporary.mkdir()
    os.environ.update(
        TMPDIR=str(temporary), PREFECT_HOME=str(prefect), PREFECT_WORKER_QUERY_SECONDS="1", OMP_NUM_THREADS="1"
    )
    rounds: list[Round] = []
    began, longest = time.monotonic(), {True: 0.0, False: 0.0}
    machine = LocalServices(FlowProject(project.root), free_port())
    with machine, temporary_settings({PREFECT_API_URL: machine.api}), table.open("w", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Round)])
        writer.writeheader()
        service = Service(machine, FlowProject(project.root))
        while time.monotonic() < began + minutes * 60:
            peaks = Peaks(project.root)
            peaks.start()
            change = source.change() if rounds else "first"
            is_all = len(rounds) % ALL_STAGES_EVERY == 0
            kill_after = rng.uniform(3.0, longest[is_all]) if longest[is_all] and rng.random() < 0.5 else None
            killed, seconds = one_run(service, [] if is_all else ["validate_dataset"], kill_after, rng)
            longest[is_all] = max(longest[is_all], seconds)
            peaks.ended.set()
            if rounds and len(rounds) % GC_EVERY == 0:  # all stages have just run
                collect_garbage(project)
                change += " gc"
            held = measure(machine, peaks.peak, {"temporary": temporary, "prefect": prefect, **folders})
            minutes_in = (time.monotonic() - began) / 60
            rounds.append(Round(len(rounds), minutes_in, change, killed, seconds, **held))
            writer.writerow(asdict(rounds[-1]))
            file.flush()
            print(rounds[-1], flush=True)
    print("in the folder for temporary files:", sorted(path.name for path in temporary.iterdir())[:20])
    assert not leftovers(project.root), leftovers(project.root)
    compare(folder, project, source)
    return rounds


def compare(folder: Path, project: Project, source: Folder) -> None:
    """The data after all rounds against one run in a new folder."""
    with stages_of(make_soaked(folder / "anew", source)) as stages:
        undisturbed(stages, "validate_dataset")
    old, new = (
        {name: digest for name, digest in products(root).items() if name.startswith(DATA)}
        for root in (project.root, folder / "anew")
    )
    differing = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    print(f"\nfiles of data: {len(new)}; that differ from one run in a new folder: {len(differing)} {differing[:5]}")


def main() -> None:
    """Print the rounds and what grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, default=Path("soak.csv"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = soak(Path(folder), options.minutes, random.Random(options.seed), options.table.resolve())
    report(rounds, min(4, len(rounds) // 3))


if __name__ == "__main__":
    main()
