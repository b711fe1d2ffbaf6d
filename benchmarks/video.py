"""Tables of the video engine: `python -m benchmarks.video {extraction,memory,incremental,mining,real}`.

extraction   CPU of n frames of a 3-minute 456p long-GOP clip over that of decoding it all with one thread; decord and
             torchcodec beside it if they are installed
memory       peak memory of one worker on 1080p, and its growth over many clips
incremental  one more video in a thousand: clips made and seconds
mining       recall of rendered events by signal and head motion, even and random times beside it; CPU per clip
real         recall of hand-marked moments of the real clips in ../shared/real_clips

All CPU figures are process CPU seconds, so that a busy machine does not change them much.
"""

import argparse
import hashlib
import json
import multiprocessing
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.memory import peak_mb
from benchmarks.shaky import LEVELS, render
from pipeline.decode.backends import decode_frames
from pipeline.frames.geometry import FrameSize
from pipeline.frames.sampling import uniform_times
from pipeline.keyframes.events import find_events
from pipeline.keyframes.mining import MiningTask, choose_moments
from pipeline.keyframes.recall import Truth, even_hits, found, measure_recall, random_hits
from pipeline.keyframes.selection import rescale
from pipeline.keyframes.signals import SIGNALS
from pipeline.keyframes.views import Views, make_views
from pipeline.params import load_params
from pipeline.stages.mine_keyframes import mining_settings
from pipeline.video.container import open_video

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared/real_clips"
SIZE = FrameSize(504 * 280, 28)


def cpu(work: Callable[[], object], repeats: int) -> float:
    """Least process CPU seconds of `repeats` runs."""
    seconds = []
    for _ in range(repeats):
        before = time.process_time()
        work()
        seconds.append(time.process_time() - before)
    return min(seconds)


def table(title: str, head: list[str], rows: list[list[object]]) -> None:
    """Print a Markdown table."""
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(f'{cell:.3f}' if isinstance(cell, float) else str(cell) for cell in row)} |", flush=True)


# --- material ---------------------------------------------------------------------------------------------------------


def pictures(seconds: int, size: tuple[int, int]) -> "np.ndarray":
    """Real first-person pictures if there are some, else rendered ones: `[T, H, W, 3]` at 10 per second, lazily."""
    if REAL.is_dir():
        views = [
            make_views(REAL / f"{name}.mp4", 0, 30, 10, 360 * 360, 600).images for name in ("cooking", "bike_repair")
        ]
        return np.concatenate(views)
    return render(0, "normal", 60, 10, 10.0, (size[0] // 2, size[1] // 2)).images


def encode(path: Path, seconds: int, size: tuple[int, int], rate: int = 30) -> Path:
    """H.264 as cameras and the web have it: CRF 23, B-frames, I-frames up to 250 frames apart."""
    if path.exists():
        return path
    source = pictures(seconds, size)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(
            "libx264", rate=rate, options={"crf": "23", "preset": "veryfast", "x264-params": "bframes=3:ref=3"}
        )
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.gop_size = 250
        for i in range(seconds * rate):
            at = i * 10 / rate
            a, b = source[int(at) % len(source)], source[(int(at) + 1) % len(source)]
            image = cv2.addWeighted(a, 1 - at % 1, b, at % 1, 0)
            frame = av.VideoFrame.from_ndarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


# --- extraction -------------------------------------------------------------------------------------------------------


def decode_all(path: Path) -> None:
    """The floor: every frame decoded once with one thread, nothing converted."""
    with open_video(path) as (container, stream):
        for _ in container.decode(stream):
            pass


def by_decord(path: Path, times: np.ndarray) -> None:
    """decord 0.6 at its best here: one reader, one batch, one thread, shrunk afterwards."""
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)
    stamps = reader.get_frame_timestamp(range(len(reader)))[:, 0]
    images = reader.get_batch(np.searchsorted(stamps, times, side="right") - 1).asnumpy()
    shrink(images)


def by_torchcodec(path: Path, times: np.ndarray) -> None:
    """torchcodec in exact mode, one thread, shrunk afterwards."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), num_ffmpeg_threads=1, seek_mode="exact", dimension_order="NHWC")
    shrink(decoder.get_frames_played_at(times.tolist()).data.numpy())


def shrink(images: np.ndarray) -> None:
    target = SIZE.fit(images.shape[2], images.shape[1])
    for image in images:
        cv2.resize(image, target, interpolation=cv2.INTER_AREA)


def available(name: str) -> bool:
    try:
        __import__(name)
    except (ImportError, OSError, RuntimeError):
        return False
    return True


def extraction(folder: Path, counts: list[int], repeats: int) -> None:
    path = encode(folder / "three_minutes_456p.mp4", 180, (810, 456))
    floor = cpu(lambda: decode_all(path), repeats)
    others = {name: call for name, call in (("decord", by_decord), ("torchcodec", by_torchcodec)) if available(name)}
    rows = []
    for n in counts:
        times = uniform_times(0, 180, n)
        ours = cpu(lambda times=times: decode_frames(path, times, SIZE), repeats) / floor
        theirs = [cpu(lambda call=call, times=times: call(path, times), repeats) / floor for call in others.values()]
        rows.append([n, ours, *theirs, *(other / ours for other in theirs)])
    head = ["frames", "packet plan", *others, *(f"{name} / plan" for name in others)]
    table(f"CPU over one full decode ({floor:.2f} s; 180 s, 810x456, 30 fps, GOP 250)", head, rows)


# --- memory -----------------------------------------------------------------------------------------------------------


def resident_mb() -> float:
    """Memory of this process now."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize() / 2**20


def memory(folder: Path, clips: int) -> None:
    """In processes of their own: this one's peak is the encoder's that made the files."""
    big = encode(folder / "one_minute_1080p.mp4", 20, (1920, 1080))
    small = encode(folder / "ten_seconds.mp4", 10, (640, 360))
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        peak = pool.apply(peak_of, (big,))
        marks = pool.apply(resident_marks, (small, clips))
    rows = [["peak, 32 frames of 1080p", peak], *([f"resident after {i} clips", mb] for i, mb in marks.items())]
    table("Memory of one worker (MB)", ["what", "MB"], rows)


def peak_of(video: Path) -> float:
    """Of this process."""
    decode_frames(video, uniform_times(0, 20, 32), SIZE)
    return peak_mb()


def resident_marks(video: Path, clips: int) -> dict[int, float]:
    marks = {}
    for i in range(clips + 1):
        if i in (50, clips // 2, clips):
            marks[i] = resident_mb()
        decode_frames(video, uniform_times(i % 5, i % 5 + 4, 4), SIZE)
    return marks


# --- incremental ------------------------------------------------------------------------------------------------------


def incremental(folder: Path, videos: int) -> None:
    """One more video in a thousand, through the stage itself."""
    from pipeline.params import load_params
    from pipeline.records import Clip, Video, write_rows
    from pipeline.reports import StageReport
    from pipeline.stages import extract_frames

    root = folder / "incremental"
    source = encode(folder / "ten_seconds.mp4", 10, (640, 360))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    (root / "data/raw").mkdir(parents=True, exist_ok=True)
    (root / "data/raw/v.mp4").unlink(missing_ok=True)
    (root / "data/raw/v.mp4").symlink_to(source)
    (root / "data/questions").mkdir(parents=True, exist_ok=True)
    whole = load_params(Path(__file__).resolve().parents[1] / "params.yaml")
    params = whole.model_copy(update={"extract_frames": whole.extract_frames.model_copy(update={"shards": 32})})
    rows: list[list[object]] = []
    for number in (videos, videos + 1):
        names = [f"v{i:05d}" for i in range(number)]
        facts = {"path": "v.mp4", "sha256": digest, "bytes": 1, "codec": "h264", "width": 640, "height": 360}
        more = {"frames_per_second": 30, "duration_seconds": 10, "source": "bench", "licence": "none"}
        write_rows(
            root / "data/raw/videos.parquet",
            [Video(video_id=n, parent_video_id=n, **facts, **more) for n in names],
            Video,
        )
        clips = [Clip(clip_id=f"{n}@0", video_id=n, start_seconds=0, end_seconds=8) for n in names]
        write_rows(root / "data/questions/clips.parquet", clips, Clip)
        before = {p.name: p.stat().st_mtime_ns for p in (root / "data/frames").glob("shard-*")}
        started = time.perf_counter()
        extract_frames.run(params, root, StageReport("extract_frames"))
        seconds = time.perf_counter() - started
        after = {p.name: p.stat().st_mtime_ns for p in (root / "data/frames").glob("shard-*")}
        rows.append([number, seconds, sum(after[name] != before.get(name) for name in after), len(after)])
    table("One more video", ["videos", "wall seconds", "shards written", "of"], rows)


# --- mining -----------------------------------------------------------------------------------------------------------


def mined_times(signal: str, views: Views, k: int, span: float) -> tuple[float, ...]:
    """Candidates as `mine_keyframes` chooses them with the committed params, but for their number."""
    section = load_params(ROOT / "params.yaml").mine_keyframes
    settings = replace(mining_settings(section), signal=signal, candidates_per_clip=k)
    score = rescale(SIGNALS[signal](views))
    task = MiningTask("clip", Path(), 0.0, span, (), settings, 0.0)
    chosen, _ = choose_moments(score, views, find_events(score, views.pts_seconds), task)
    return tuple(views.pts_seconds[chosen].tolist())


def mining(seeds: list[int]) -> None:
    """3-minute clips, 24 events, 32 candidates, +-0.5 s."""
    rows = []
    for level in LEVELS:
        truths: dict[str, list[Truth]] = defaultdict(list)
        seconds: dict[str, float] = defaultdict(float)
        for seed in seeds:
            clip = render(seed, level, 180.0, 24)
            views = Views(clip.images, clip.pts_seconds)
            for signal in SIGNALS:
                before = time.process_time()
                times = mined_times(signal, views, 32, 180.0)
                seconds[signal] += (time.process_time() - before) / len(seeds)
                truths[signal].append(Truth(0, 180, tuple(clip.event_seconds.tolist()), times))
        recalls = {signal: measure_recall(clips, 0.5)["by_count"][-1] for signal, clips in truths.items()}
        base = recalls["lk_affine"]
        rows.append(
            [
                level,
                base["even"],
                base["random"],
                *(f"{r['mined']:.3f} ({seconds[s]:.1f} s)" for s, r in recalls.items()),
            ]
        )
    title = f"Recall@32 within 0.5 s (CPU seconds per clip beyond decode), rendered 3-minute clips, seeds {seeds}"
    table(title, ["head motion", "even", "random", *SIGNALS], rows)


def _whole(clips: list[Truth], tolerance: float) -> dict[str, float]:
    """Recall of all candidates of each clip, beside even spacing (over its phases) and random times."""
    k, times = len(clips[0].candidate_seconds), sum(len(clip.true_seconds) for clip in clips)
    hits = {
        "mined": sum(found(clip.candidate_seconds, clip.true_seconds, tolerance) for clip in clips),
        "even": sum(even_hits(clip, k, tolerance) for clip in clips),
        "random": sum(random_hits(clip, k, tolerance) for clip in clips),
    }
    return {name: value / times for name, value in hits.items()}


def real() -> None:
    """Hand-marked moments of the two 30 s clips."""
    if not REAL.is_dir():
        print("\nno ../shared/real_clips beside the repository: nothing to measure")
        return
    truth: dict[str, set[float]] = defaultdict(set)
    for line in (REAL / "annotations.jsonl").read_text().splitlines():
        row = json.loads(line)
        truth[row["video"]].update(row["keyframes_s"])
    views = {name: make_views(REAL / name, 0, 30, 10, 20736, 600) for name in ("cooking.mp4", "bike_repair.mp4")}
    rows = []
    for k in (6, 8, 10, 12):
        for tolerance in (0.5, 0.75, 1.0):
            cells = []
            for signal in SIGNALS:
                clips = [Truth(0, 30, tuple(truth[n]), mined_times(signal, v, k, 30.0)) for n, v in views.items()]
                recall = _whole(clips, tolerance)
                cells.append(recall["mined"])
            rows.append([k, tolerance, recall["even"], recall["random"], *cells])
    table("Recall of hand-marked moments, two real 30 s clips", ["k", "within (s)", "even", "random", *SIGNALS], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=["extraction", "memory", "incremental", "mining", "real"], nargs="+")
    parser.add_argument("--folder", type=Path, help="keep the material here (default: a temporary folder)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000, 1001, 1002], help="of the rendered clips")
    parser.add_argument("--clips", type=int, default=2000, help="clips of `memory`, videos of `incremental` / 2")
    parser.add_argument("--counts", type=int, nargs="+", default=[8, 16, 32, 64, 180], help="frames of `extraction`")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement of `extraction`; the least counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        tables: dict[str, Callable[[], None]] = {
            "extraction": lambda: extraction(folder, options.counts, options.repeats),
            "memory": lambda: memory(folder, options.clips),
            "incremental": lambda: incremental(folder, options.clips // 2),
            "mining": lambda: mining(options.seeds),
            "real": real,
        }
        for name in options.table:
            tables[name]()


if __name__ == "__main__":
    main()
