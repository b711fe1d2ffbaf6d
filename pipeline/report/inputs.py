"""The report's inputs: every file is read here, and a missing one becomes a note on the page, not an error."""

import csv
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pipeline.errors import ArtifactError
from pipeline.files import sha256_of
from pipeline.frames.store import FrameStore
from pipeline.layout import (
    BASE,
    CONTROLS,
    CURVES,
    DATA,
    FRAMES,
    KEYFRAMES,
    LEAKAGE,
    LIVE,
    METRICS,
    MINED,
    POLICY,
    PREDICTED,
    PROBES,
    QUARANTINE,
    QUESTIONS,
    RAW,
    REPORTS,
    TRAINING,
    VIDEOS,
    report_of,
)
from pipeline.records import Keyframe, Prediction, Quarantined, Question, Row, Video, read_rows
from pipeline.report.clip_sheets import ClipFolders

STAGES = (
    "download_videos",
    "prepare_questions",
    "extract_frames",
    "mine_keyframes",
    "validate_dataset",
    "prepare_model",
    "train_grpo",
    "evaluate_egoschema",
)
HASHED = (
    QUESTIONS,
    MINED,
    f"{BASE}/model.safetensors",
    f"{POLICY}/model.safetensors",
    PREDICTED,
)


@dataclass(frozen=True)
class ReportInputs:
    """All that the page shows. `reports` are data/reports/<stage>.json by stage, `curves` (step, value) by
    name as logged in training, `videos` each video's file as seen from data/reports; `notes` say what is missing."""

    reports: dict[str, dict[str, Any]]
    metrics: dict[str, Any]
    controls: dict[str, Any]
    leakage: dict[str, Any]
    probes: dict[str, Any]
    provenance: dict[str, Any]
    curves: dict[str, list[tuple[int, float]]]
    questions: list[Question]
    keyframes: list[Keyframe]
    predictions: list[Prediction]
    quarantine: list[Quarantined]
    store: FrameStore | None
    folders: ClipFolders
    hashes: dict[str, str]
    videos: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_inputs(root: Path) -> ReportInputs:
    """Read everything below `root` that a run produces."""
    notes: list[str] = []
    return ReportInputs(
        reports={s: r for s in STAGES if (r := _json(root / report_of(s), notes))},
        metrics=_json(root / METRICS, notes),
        controls=_json(root / CONTROLS, notes),
        leakage=_json(root / LEAKAGE, []),
        probes=_json(root / PROBES, []),
        provenance=_json(root / TRAINING, []),
        curves=_curves(root / CURVES, notes),
        questions=_rows(root / QUESTIONS, Question, notes),
        keyframes=_rows(root / MINED, Keyframe, notes),
        predictions=_rows(root / PREDICTED, Prediction, notes),
        quarantine=_rows(root / QUARANTINE, Quarantined, notes),
        store=_store(root / FRAMES, notes),
        folders=ClipFolders(root / FRAMES, root / KEYFRAMES),
        hashes={name: sha256_of(root / name) for name in HASHED if (root / name).is_file()},
        videos=_videos(root / VIDEOS),
        notes=notes,
    )


R = TypeVar("R", bound=Row)


def _videos(manifest: Path) -> dict[str, str]:
    """Relative address of each video's file: of the copy in data/raw, or where a user's own lies."""
    if not manifest.is_file():
        return {}
    rows = read_rows(manifest, Video)
    return {row.video_id: quote(os.path.relpath(f"{RAW}/{row.path}", REPORTS)) for row in rows}


def _rows(path: Path, row_type: type[R], notes: list[str]) -> list[R]:
    try:
        return read_rows(path, row_type)
    except ArtifactError as error:
        notes.append(_short(error, path))
        return []


def _store(folder: Path, notes: list[str]) -> FrameStore | None:
    try:
        return FrameStore(folder)
    except ArtifactError as error:
        notes.append(_short(error, folder))
        return None


def _short(error: ArtifactError, path: Path) -> str:
    """The message with the path relative to the repository: the page must not depend on where it was made."""
    return str(error).replace(str(path), _shown(path))


def _shown(path: Path) -> str:
    return f"{DATA}/{path.parent.name}/{path.name}" if path.suffix else f"{DATA}/{path.name}"


def _json(path: Path, notes: list[str]) -> dict[str, Any]:
    if not path.is_file():
        notes.append(f"{_shown(path)} is missing: run `dvc repro` to make it")
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        notes.append(f"{_shown(path)} is not JSON: run `dvc repro` to make it again")
        return {}
    return value if isinstance(value, dict) else {"values": value}


def _curves(folder: Path, notes: list[str]) -> dict[str, list[tuple[int, float]]]:
    """dvclive's tables: one file per quantity with the columns `step` and its name."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        with path.open(encoding="utf-8", newline="") as file:
            curves[name] = [(int(row["step"]), float(row[path.stem])) for row in csv.DictReader(file, delimiter="\t")]
    if not curves:
        notes.append(f"{LIVE} contains no training curves")
    return curves
