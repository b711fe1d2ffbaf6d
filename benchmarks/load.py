"""Ten thousand short clips through extraction and mining, then one more: `python -m benchmarks.load [--clips 10000]`.

Real H.264 files of three seconds, 160x120 at 10 frames a second, rendered with head motion; a few dozen different ones,
each standing for many videos. The stages run as the pipeline runs them, with the committed params and 64 shards.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from threading import Event, Thread

import av
import psutil

from benchmarks.memory import peak_mb
from benchmarks.shaky import render
from benchmarks.video import table
from pipeline.params import Params, load_params
from pipeline.records import Clip, Question, Video, write_rows
from pipeline.reports import StageReport
from pipeline.stages import extract_frames, mine_keyframes

SECONDS, RATE, SIZE, DIFFERENT, SHARDS = 3, 10, (160, 120), 48, 64
STAGES = {"extract_frames": extract_frames.run, "mine_keyframes": mine_keyframes.run}


class Workers(Thread):
    """Watches the worker processes of a stage: the kernel keeps each one's peak memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ended, self.peaks = Event(), list[float]()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            self.peaks.append(
                max((peak_mb(child.pid) for child in psutil.Process().children(recursive=True)), default=0.0)
            )


def encode(path: Path, seed: int) -> str:
    """Write one clip; its SHA-256."""
    images = render(seed, "normal", SECONDS + 2.0, 1, RATE, SIZE).images[: SECONDS * RATE]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "23", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_inputs(root: Path, digests: list[str], number: int) -> None:
    """Videos, clips and questions as the stages before would leave them."""
    facts = {"bytes": 1, "codec": "h264", "width": SIZE[0], "height": SIZE[1], "frames_per_second": RATE}
    more = {"duration_seconds": SECONDS, "source": "bench", "licence": "none"}
    names = [f"v{i:06d}" for i in range(number)]
    videos = [
        Video(
            video_id=n, parent_video_id=n, path=f"{i % DIFFERENT}.mp4", sha256=digests[i % DIFFERENT], **facts, **more
        )
        for i, n in enumerate(names)
    ]
    clips = [Clip(clip_id=f"{n}@0", video_id=n, start_seconds=0, end_seconds=SECONDS) for n in names]
    write_rows(root / "data/raw/videos.parquet", videos, Video)
    write_rows(root / "data/questions/clips.parquet", clips, Clip)
    write_rows(root / "data/questions/questions.parquet", [], Question)


def timed(stage: Callable[[Params, Path, StageReport], None], name: str, params: Params, root: Path) -> list[object]:
    """Run a stage; wall seconds, largest worker, and how it grew from the first tenth of the run to its end."""
    workers = Workers()
    workers.start()
    began = time.perf_counter()
    stage(params, root, StageReport(name))
    seconds = time.perf_counter() - began
    workers.ended.set()
    early = max(workers.peaks[: max(1, len(workers.peaks) // 10)], default=0.0)
    return [seconds, early, max(workers.peaks, default=0.0)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=10000)
    options = parser.parse_args()
    whole = load_params(Path(__file__).resolve().parents[1] / "params.yaml")
    sections = {name: getattr(whole, name).model_copy(update={"shards": SHARDS}) for name in STAGES}
    params, rows = whole.model_copy(update=sections), list[list[object]]()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "data/raw").mkdir(parents=True)
        (root / "data/questions").mkdir()
        digests = [encode(root / f"data/raw/{seed}.mp4", seed) for seed in range(DIFFERENT)]
        for new in (options.clips, 1):
            write_inputs(root, digests, options.clips + (new == 1))
            for name, stage in STAGES.items():
                seconds, *memory = timed(stage, name, params, root)
                rows.append([name, new, seconds, new / float(str(seconds)), *memory])
    head = ["stage", "new clips", "wall s", "clips a second", "worker MB, first tenth", "worker MB, peak"]
    table("Short clips, two workers", head, rows)


if __name__ == "__main__":
    main()
