"""Training data in EgoIT-99K's form below inputs/: rendered videos, real clips if there are any, and planted faults.

Planted: recordings that EgoSchema's clips are cut from, a truncated file, rows on videos that are not there, a row
on a picture. Rows are open questions, four-option ones, with clock times and with frame numbers.
"""

import json
import random
import shutil
from pathlib import Path
from typing import Any

from benchmarks.rehearsal.videos import Video, write_video

KINDS = (0, 3, 4, 5)  # of rows, see `_row`
QUESTIONS_PER_VIDEO = len(KINDS) + 1  # a row of kind 0 has two turns
THINGS = ("a knife", "a red pan", "the yellow packet", "a wrench", "a wheel", "two bowls", "a sponge", "the drawer")
ACTS = ("picks up {}", "puts {} on the table", "opens {}", "cleans {}", "carries {} away", "turns {} round")
CLEAN = "11111111-2222-4333-8444-{:012d}"  # an Ego4D recording that EgoSchema does not know


def write_egoit(folder: Path, clips: Path | None, parents: list[str], shorts: int, longs: int) -> dict[str, Any]:
    """Videos and questions.json; what was planted.

    Args:
        folder: inputs/egoit.
        clips: a folder of real clips, or None.
        parents: Ego4D recordings of EgoSchema.
        shorts: rendered videos of 8 to 14 s.
        longs: rendered videos of one to two minutes.
    """
    videos = folder / "videos"
    names = [f"EPIC-KITCHENS/P{i:02d}_{10 + i}.MP4" for i in range(shorts // 2)]
    names += [f"Ego4D/{CLEAN.format(i)}.mp4" for i in range(shorts - shorts // 2)]
    for seed, name in enumerate(names):
        write_video(videos / name, Video(seed, 8.0 + seed % 7, 10))
    for seed in range(longs):
        names.append(f"HoloAssist/R{seed:03d}/Export_py/Video_pitchshift.mp4")
        write_video(videos / names[-1], Video(50 + seed, 60.0 + 30 * seed, 10))
    leaks = [f"Ego4D_clip/{parent}/split_{i}.mp4" for i, parent in enumerate(parents)]
    real = [] if clips is None else [f"real/{path.name}" for path in sorted(clips.glob("*.mp4"))]
    for number, name in enumerate(leaks):
        _copy(videos / names[number], videos / name)
    for name in real:
        _copy(Path(str(clips)) / Path(name).name, videos / name)
    broken = "EPIC-KITCHENS/P90_01.MP4"
    content = (videos / names[0]).read_bytes()
    (videos / broken).write_bytes(content[: len(content) // 3])
    rows = _rows([*names, *leaks, *real], broken)
    (folder / "questions.json").write_text(json.dumps(rows), "utf-8")
    return {"videos": len(names) + len(leaks) + len(real) + 1, "rows": len(rows), "leaks": len(leaks), "broken": 1}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _rows(videos: list[str], broken: str) -> list[dict[str, Any]]:
    rng = random.Random(0)
    rows = [_row(rng, f"{n}-{kind}", name, kind) for n, name in enumerate(videos) for kind in KINDS]
    rows.append(_row(rng, "broken", broken, 1))
    rows += [_row(rng, f"absent-{i}", f"HoloAssist/R9{i:02d}/Export_py/Video_pitchshift.mp4", 1) for i in range(20)]
    rows.append({**_row(rng, "picture", "", 1), "video": None, "image": "pictures/1.jpg"})
    return rows


def _row(rng: random.Random, row_id: str, video: str, kind: int) -> dict[str, Any]:
    """One row: open (kind 0 with a second turn, 1), four options (3), with clock times (4) or frame numbers (5)."""
    asked = f"What does the camera wearer do with the hands in part {row_id}, and with which thing?"
    row: dict[str, Any] = {"id": f"egoit-{row_id}", "video": video, "image": None, "audio": None}
    row |= dict.fromkeys(("start_frame", "end_frame", "current_observation_frame", "fps", "start_time", "end_time"))
    if kind < 3:
        turns = [f"<video>\n{asked}", f"The camera wearer {_act(rng)}."]
        turns += ["What is used next, and what for?", f"{rng.choice(THINGS)}, which C {_act(rng)}"] if kind == 0 else []
    else:
        options = [
            f"C {act.format(thing)}" for act, thing in zip(rng.sample(ACTS, 4), rng.sample(THINGS, 4), strict=True)
        ]
        listed = "\n".join(f"{'ABCD'[i]}. {option}" for i, option in enumerate(options))
        turns = [f"<image>\n{asked}\n{listed}\nAnswer with the option's letter directly.", rng.choice("ABCD")]
    if kind == 4 and "stir" not in video:
        row |= {"start_time": "00:00:01", "end_time": "00:00:07"}
    if kind == 5 and "Ego4D/" in video:  # its recordings have 30 frames a second
        row |= {"start_frame": 30, "end_frame": 210, "fps": 30.0}
    speakers = ("human", "gpt")
    return {**row, "conversations": [{"from": speakers[i % 2], "value": turn} for i, turn in enumerate(turns)]}


def _act(rng: random.Random) -> str:
    return rng.choice(ACTS).format(rng.choice(THINGS))
