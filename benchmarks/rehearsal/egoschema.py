"""EgoSchema as the profile expects it below inputs/: its own files where they are, else made-up ones in their form."""

import json
import random
import shutil
import uuid
from pathlib import Path
from typing import Any

from benchmarks.rehearsal.videos import Video, write_video

QUESTIONS, ANSWERED = 5031, 500
FILES = {"questions_mc_5031.parquet": "questions_mc.parquet"}
FILES |= {name: name for name in ("subset_answers.json", "uid_to_ego4d.json")}


def write_egoschema(folder: Path, real: Path | None, videos: int, rate: int) -> dict[str, Any]:
    """Questions, answers, windows and the 180 s clips of the first `videos` answered questions; what there is.

    Args:
        folder: inputs/egoschema.
        real: a folder with the benchmark's own three files, or None.
        videos: how many of the answered questions get a clip.
        rate: frames a second of the clips.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if real is not None:
        for name, target in FILES.items():
            shutil.copyfile(real / name, folder / target)
    else:
        _make_up(folder)
    answers = json.loads((folder / "subset_answers.json").read_text("utf-8"))
    windows = json.loads((folder / "uid_to_ego4d.json").read_text("utf-8"))
    chosen = sorted(answers)[:videos]
    rendered = [folder / f"videos/{uid}.mp4" for uid in chosen[:3]]
    for seed, path in enumerate(rendered, 100):
        write_video(path, Video(seed, 180.0, rate))
    for number, uid in enumerate(chosen[3:]):
        shutil.copyfile(rendered[number % len(rendered)], folder / f"videos/{uid}.mp4")
    return {"own_files": real is not None, "videos": len(chosen), "parents": _parents(windows, chosen)}


def _parents(windows: dict[str, Any], chosen: list[str]) -> list[str]:
    """A recording that has a clip here, and one that has none."""
    here = {windows[uid]["video_uid"] for uid in chosen}
    return [min(here), min(window["video_uid"] for window in windows.values() if window["video_uid"] not in here)]


def _make_up(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(0)
    uids = sorted(str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(QUESTIONS))
    rows = [
        {
            "question_idx": f"{number:05d}",
            "question": f"Taking all of the video into account, what was C's main aim in session {number}?",
            "video_idx": uid,
            "option": [f"{'ABCDE'[i]}. C {_doing(rng)}" for i in range(5)],
            "answer": None,
        }
        for number, uid in enumerate(uids)
    ]
    text = pa.string()
    columns = [(name, text) for name in ("question_idx", "question", "video_idx")]
    schema = pa.schema([*columns, ("option", pa.list_(text)), ("answer", text)])
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "questions_mc.parquet")
    answers = {uid: rng.randrange(5) for uid in rng.sample(uids, ANSWERED)}
    windows = {uid: _window(rng) for uid in uids}
    (folder / "subset_answers.json").write_text(json.dumps(answers), "utf-8")
    (folder / "uid_to_ego4d.json").write_text(json.dumps(windows), "utf-8")


def _window(rng: random.Random) -> dict[str, Any]:
    start = 30 * rng.randrange(40)
    uid = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    return {"video_uid": uid, "starting_sec": start, "ending_sec": start + 180}


def _doing(rng: random.Random) -> str:
    verb = rng.choice(("washes", "sorts", "repairs", "paints", "folds", "carries", "cuts", "measures", "mixes"))
    thing = rng.choice(("the plates", "a bicycle", "some cloth", "the cards", "wood", "dough", "the plants", "a box"))
    return f"{verb} {thing} {rng.choice(('alone', 'with somebody', 'and rests', 'and talks', 'in the garden'))}"
