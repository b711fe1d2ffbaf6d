"""Small real videos and the params to read them: what the tests of the data stages share."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.params import Params, load_params
from pipeline.sources.egoschema import EgoschemaParams
from pipeline.sources.local import LocalParams
from tests.support.encoder import x264

ROOT = Path(__file__).resolve().parents[2]


def clip(path: Path, frames: int = 20, seed: int = 0, size: int = 64, black: bool = False) -> Path:
    """An H.264 file of `frames` pictures at ten a second: smooth random texture that drifts; `seed` makes another
    scene."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scene = _scene(seed, size)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options=x264({"threads": "1", "crf": "18"}))
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for i in range(frames):
            picture = np.zeros_like(scene) if black else np.roll(scene, 2 * i, axis=1)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _scene(seed: int, size: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.ascontiguousarray(np.kron(coarse, np.ones((size // 8, size // 8, 1), dtype=np.uint8)))


def local_params(folder: Path, questions: Path, split: str = "by_hash", **changes: Any) -> LocalParams:
    """A local source in native form."""
    values = {
        "kind": "local", "folder": str(folder), "questions": str(questions), "split": split, "licence": "CC0",
        "format": "native", "frame_rate": None,
    }  # fmt: skip
    return LocalParams.model_validate(values | changes)


def egoschema_params(**changes: Any) -> EgoschemaParams:
    """An EgoSchema source."""
    values = {"kind": "egoschema", "layout": "files", "only_answered": False, "licence": "Ego4D"}
    return EgoschemaParams.model_validate(values | changes)


def data_params(sources: dict[str, Any], **sections: dict[str, Any]) -> Params:
    """params.yaml with these sources, one worker, and changes to whole sections' keys."""
    raw = load_params(ROOT / "params.yaml").model_dump()
    raw["download_videos"] |= {"sources": {n: s.model_dump() for n, s in sources.items()}}
    raw["machine"]["workers"] = 1
    for name, changes in sections.items():
        raw[name] |= changes
    return Params.model_validate(raw)


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    """One JSON value a line; a text stands as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def row(question_id: str, video: str, answer: int | None = 0, **changes: Any) -> dict[str, Any]:
    """A native question row with five options that no other question has."""
    options = [f"{word} of {question_id}" for word in ("alpha", "bravo", "delta", "gamma", "omega")]
    return {"id": question_id, "video": video, "question": f"What happens in {question_id}?", "options": options,
            "answer": answer} | changes  # fmt: skip
