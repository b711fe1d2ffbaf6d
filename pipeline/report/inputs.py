"""What the report is made from: every file is read here, and a missing one is a note on the page, not an error."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import ArtifactError
from pipeline.files import sha256_of
from pipeline.frames.store import FrameStore
from pipeline.records import Keyframe, Prediction, Quarantined, Question, Row, read_rows
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
    "data/dataset/questions.parquet",
    "data/keyframes/keyframes.parquet",
    "data/models/base/model.safetensors",
    "data/models/policy/model.safetensors",
    "data/predictions/predictions.parquet",
)


@dataclass(frozen=True)
class ReportInputs:
    """All that the page shows. `reports` are data/reports/<stage>.json by stage, `curves` (step, value) by
    name as logged in training; `notes` say what is missing."""

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
    notes: list[str] = field(default_factory=list)


def read_inputs(root: Path) -> ReportInputs:
    """Read everything below `root` that a run leaves behind."""
    notes: list[str] = []
    data = root / "data"
    return ReportInputs(
        reports={s: r for s in STAGES if (r := _json(data / "reports" / f"{s}.json", notes))},
        metrics=_json(data / "reports/metrics.json", notes),
        controls=_json(data / "reports/controls.json", notes),
        leakage=_json(data / "dataset/leakage.json", []),
        probes=_json(data / "dataset/probes.json", []),
        provenance=_json(data / "models/policy/training.json", []),
        curves=_curves(data / "reports/live/train_grpo/plots/metrics", notes),
        questions=_rows(data / "dataset/questions.parquet", Question, notes),
        keyframes=_rows(data / "keyframes/keyframes.parquet", Keyframe, notes),
        predictions=_rows(data / "predictions/predictions.parquet", Prediction, notes),
        quarantine=_rows(data / "dataset/quarantine.parquet", Quarantined, notes),
        store=_store(data / "frames", notes),
        folders=ClipFolders(data / "frames", data / "keyframes"),
        hashes={name: sha256_of(root / name) for name in HASHED if (root / name).is_file()},
        notes=notes,
    )


R = TypeVar("R", bound=Row)


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
    """The message with the path as it stands in the repository: the page must not depend on where it was made."""
    return str(error).replace(str(path), f"data/{path.parent.name}/{path.name}" if path.suffix else f"data/{path.name}")


def _json(path: Path, notes: list[str]) -> dict[str, Any]:
    if not path.is_file():
        notes.append(f"data/{path.parent.name}/{path.name} is missing: run `dvc repro` to make it")
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        notes.append(f"data/{path.parent.name}/{path.name} is not JSON: run `dvc repro` to make it again")
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
        notes.append("data/reports/live holds no training curves")
    return curves
