"""What the data stages cost: `python -m benchmarks.data scaling`, `python -m benchmarks.data download`,
`python -m benchmarks.data shortcuts --egoschema FOLDER`.

`scaling` prepares and validates open-ended and multiple-choice annotations (no frames are decoded) and prints CPU
seconds and peak memory for each size, each in a process of its own. `download` compares the downloader with a loop
of `curl` on eight files over loopback. `shortcuts` prints the probe table of EgoSchema's public answers.
"""

import argparse
import hashlib
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.checks import dataset
from pipeline.checks.clips import ClipLook
from pipeline.environment import apply_defaults
from pipeline.files import write_json
from pipeline.params import Params, load_params
from pipeline.records import Annotation, Clip, Keyframe, Video, read_rows, write_rows
from pipeline.reports import StageReport
from pipeline.sources.download import DownloadLimits, download
from pipeline.stages import prepare_questions, validate_dataset

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS_PER_VIDEO = 20
TEXT = (
    "take put open close wash cut stir pour move hold cup pan pot jar lid bowl knife fork bread apple table sink "
    "left right slowly quickly again twice before after while near under behind red blue green yellow"
)
WORDS = TEXT.split()


class _AllFrames:
    """Stands for a frame store that holds every clip; nothing is decoded."""

    def __init__(self, folder: Path) -> None:
        self.ids = [row.clip_id for row in read_rows(folder.parent / "questions/clips.parquet", Clip)]

    def __contains__(self, clip_id: object) -> bool:
        return True

    def clip_ids(self) -> "_AllFrames":
        return self

    def __iter__(self) -> Any:
        return iter(self.ids)


def _annotations(number: int) -> Iterable[Annotation]:
    chance = random.Random(0)
    for i in range(number):
        text = " ".join(chance.choices(WORDS, k=8))
        options = tuple(" ".join(chance.choices(WORDS, k=5)) + f" {j}" for j in range(5)) if i % 2 else None
        yield Annotation(
            question_id=f"q{i:07d}", video_id=f"v{i // QUESTIONS_PER_VIDEO:06d}", source="local", licence="CC0",
            family=f"f{i % 4}", question=f"What does C do in step {i}: {text}?", options=options,
            answer=chance.randrange(5) if options else None,
            answer_text=None if options else " ".join(chance.choices(WORDS, k=5)) + f" {chance.randrange(number)}",
        )  # fmt: skip


def _digest(i: int) -> str:
    return hashlib.sha256(str(i).encode()).hexdigest()


def _write_inputs(root: Path, number: int) -> None:
    raw = root / "data/raw"
    (raw / "videos").mkdir(parents=True)
    (raw / "videos/empty.mp4").touch()
    videos = [
        Video(video_id=f"v{i:06d}", path="videos/empty.mp4", sha256=_digest(i), bytes=0,
              codec="h264", width=640, height=480, frames_per_second=30, duration_seconds=60.0,
              parent_video_id=f"v{i:06d}", source="local", licence="CC0")
        for i in range(math.ceil(number / QUESTIONS_PER_VIDEO))
    ]  # fmt: skip
    write_rows(raw / "videos.parquet", videos, Video)
    write_rows(raw / "annotations.parquet", _annotations(number), Annotation)
    write_json(raw / "sources.json", {"local": "local"})
    write_rows(root / "data/keyframes/keyframes.parquet", [], Keyframe)


def _no_looks(store: Any, clips: Sequence[Clip], workers: int) -> list[ClipLook]:
    return []


def _params() -> Params:
    raw = load_params(ROOT / "params.yaml").model_dump()
    raw["validate_dataset"]["egoschema_windows"] = "none"
    raw["prepare_questions"]["near_duplicates"] = {"similarity": 0.9, "scope": "everywhere"}
    return Params.model_validate(raw)


def scale(number: int) -> None:
    """Prepare and validate `number` annotations and print what it cost."""
    dataset.FrameStore = _AllFrames  # type: ignore[assignment,misc]
    validate_dataset.look_at_clips = _no_looks
    with tempfile.TemporaryDirectory() as folder:
        root, params = Path(folder), _params()
        _write_inputs(root, number)
        costs, started = [time.process_time()], time.perf_counter()
        for name, stage in (("prepare_questions", prepare_questions), ("validate_dataset", validate_dataset)):
            stage.run(params, root, StageReport(name))
            costs.append(time.process_time())
        wall = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    prepare, validate = costs[1] - costs[0], costs[2] - costs[1]
    per = (prepare + validate) / (number * math.log2(number)) * 1e6
    cpu = f"{prepare:>9.1f} {validate:>9.1f} {prepare + validate:>9.1f}"
    print(f"{number:>8} {cpu} {wall:>8.1f} {peak:>8.0f} {per:>12.2f}", flush=True)


def scaling(sizes: Sequence[int]) -> None:
    """One process per size, so that peak memory is its own."""
    print("       n   prepare  validate     CPU s   wall s  peak MB  us/(n log2 n)", flush=True)
    for size in sizes:
        subprocess.run([sys.executable, "-m", "benchmarks.data", "scale", str(size)], check=True)


def throughput(megabytes: int, files: int) -> None:
    """Downloader against curl: the same files, eight at a time, best of three rounds each."""
    with tempfile.TemporaryDirectory() as folder:
        served = Path(folder) / "served"
        served.mkdir()
        for i in range(files):
            (served / f"{i}.mp4").write_bytes(random.Random(i).randbytes(megabytes << 20))
        command = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(served)]
        command.insert(1, "-u")
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert server.stdout is not None
        port = server.stdout.readline().split("port ")[1].split(" ")[0]
        url = f"http://127.0.0.1:{port}"
        try:
            rounds = [(_curl(url, Path(folder) / "a", files), _ours(url, Path(folder) / "b", files)) for _ in range(3)]
        finally:
            server.terminate()
            server.wait()
    total = megabytes * files
    curl, ours = (total / min(times) for times in zip(*rounds, strict=True))
    print(f"{files} x {megabytes} MB, 8 at a time: curl {curl:.0f} MB/s, ours {ours:.0f} MB/s, ratio {ours / curl:.2f}")


def _curl(url: str, folder: Path, files: int) -> float:
    folder.mkdir(exist_ok=True)
    started = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        calls = [["curl", "-s", "-o", str(folder / f"{i}.mp4"), f"{url}/{i}.mp4"] for i in range(files)]
        list(pool.map(partial(subprocess.run, check=True), calls))
    return time.perf_counter() - started


def _ours(url: str, folder: Path, files: int) -> float:
    folder.mkdir(exist_ok=True)
    limits = DownloadLimits(retries=2, timeout_seconds=30, max_bytes=1 << 40)
    with ProcessPoolExecutor(8) as pool:
        list(pool.map(_touch, range(32)))  # the workers are there before the clock starts
        started = time.perf_counter()
        jobs = [(f"{url}/{i}.mp4", folder / f"{i}.mp4", limits) for i in range(files)]
        list(pool.map(_download, jobs))
        return time.perf_counter() - started


def _touch(_: int) -> None:
    time.sleep(0.05)


def _download(job: tuple[str, Path, DownloadLimits]) -> None:
    download(*job, checked=False)


def shortcuts(folder: Path) -> None:
    """The probe table of EgoSchema's public answers, from the hub's parquet."""
    from pipeline.checks.shortcuts import probe_questions
    from pipeline.files import sha256_of
    from pipeline.records import Question
    from pipeline.sources.egoschema import EgoschemaParams as Section
    from pipeline.sources.egoschema import EgoschemaSource
    from pipeline.text.options import clean_options

    questions = folder / "questions_mc_5031.parquet"
    section = Section(
        kind="egoschema", questions=str(questions), questions_sha256=sha256_of(questions),
        answers=str(folder / "subset_answers.json"), windows=str(folder / "uid_to_ego4d.json"), videos="",
        layout="files", only_answered=True, licence="Ego4D",
    )  # fmt: skip
    source = EgoschemaSource("egoschema", 0, section)
    recordings = {item.video_id: item.parent_video_id for item in source.list_videos()}
    rows = [row for row in source.annotations() if isinstance(row, Annotation)]
    made = [
        Question(question_id=row.question_id, video_id=row.video_id, source="egoschema", licence="",
        question=row.question,
                 options=clean_options(row.options or ()), answer=row.answer, start_seconds=0, end_seconds=180,
                 split="test")
        for row in rows
    ]  # fmt: skip
    print("rule                      questions  accuracy  99 % interval   chance")
    for score in probe_questions(made, [recordings[q.video_id] for q in made], 20_000, 0):
        print(
            f"{score.rule:<25} {score.questions:>9} {score.accuracy:>9.3f}  {score.low:.3f}-{score.high:.3f}"
            f" {score.chance:>9.3f}"
        )


def main() -> None:
    """Command line."""
    apply_defaults()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("scaling", "scale", "download", "shortcuts"))
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000, 100_000, 500_000])
    parser.add_argument("--megabytes", type=int, default=48)
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--egoschema", type=Path, default=ROOT.parent / "shared/egoschema")
    given = parser.parse_args()
    match given.what:
        case "scaling":
            scaling(given.sizes)
        case "scale":
            scale(given.sizes[0])
        case "download":
            throughput(given.megabytes, given.files)
        case _:
            shortcuts(given.egoschema)


if __name__ == "__main__":
    main()
