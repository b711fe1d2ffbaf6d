"""Let the gate judge the workspace's model against the champion, and register it if it wins."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from dvc.api import DVCFileSystem

from flows.dvc.graph import TRAIN
from flows.dvc.project import Project
from flows.dvc.publishing import destination
from flows.dvc.runs import note_verdict
from flows.promotion.memory import known_champion, remember
from flows.promotion.registry import (
    FORGET,
    ChampionUnresolvable,
    Version,
    describe,
    fetch_registry,
    register_champion,
    withdrawn,
)
from pipeline.comparison.gate import Evidence, Verdict, decide
from pipeline.errors import EgovlmError, StageError
from pipeline.evaluation.scores import IntervalSettings
from pipeline.layout import LEAKAGE, METRICS, MODEL_CARD, PREDICTED, QUESTIONS
from pipeline.params import load_params
from pipeline.provenance import refuse_disagreements
from pipeline.records import Prediction, Question, read_rows

ANSWERS = "evaluate_egoschema validate_dataset"  # the stages that make the files above


def promote(project: Project, commit: str, say: Callable[[str], object]) -> Verdict:
    """Judge the finished run in the workspace, saved as experiment `commit`; a winner becomes champion on this machine.

    Args:
        say: called with the champion that the model is compared with, before the comparison.

    Raises:
        ChampionUnresolvable: the champion or its answers cannot be determined. Nothing is then promoted.
        StageError: the registry refused the winner.
        ArtifactError: dvc.lock names other params or code than those that ran.
    """
    refuse_disagreements(project.root)
    params = load_params(project.root / "params.yaml")
    fetch_registry(project, destination(project))
    current = known_champion(project, say)
    remember(project)  # also what was fetched
    if current is not None:
        say(f"the champion is {describe(project, current)}")
    known = _same_weights(project, commit, current)
    if known:
        return Verdict(False, (known,), None, "the champion")
    theirs = champion_evidence(project, current) if current else None
    verdict = decide(evidence_in(project.root), theirs, params.promotion, IntervalSettings.of(params))
    note_verdict(project, commit, str(verdict))
    if verdict.promote:
        register_champion(project, commit, _card(project, verdict))
        remember(project)
    return verdict


def evidence_in(root: Path) -> Evidence:
    """What the files below `root` say about their model.

    Raises:
        ArtifactError: predictions or questions are missing or damaged.
    """
    metrics, leakage = _json(root / METRICS), _json(root / LEAKAGE)
    return Evidence(
        predictions=read_rows(root / PREDICTED, Prediction),
        questions=read_rows(root / QUESTIONS, Question),
        keyframe_f1=metrics.get("keyframe_f1"),
        leaky=bool(leakage["leaky"]) or bool(metrics.get("leaky")) if "leaky" in leakage else None,
        above_floor_low=metrics.get("above_floor_low"),
        agreement=metrics.get("agreement"),
        invalid_controls=metrics.get("invalid_controls", ""),
        benchmark_questions=metrics.get("benchmark_questions"),
    )


def champion_evidence(project: Project, version: Version) -> Evidence:
    """What the champion answered, from the DVC cache or remote, as of its commit.

    Raises:
        ChampionUnresolvable: one of its files is unavailable.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = DVCFileSystem(str(project.root), rev=version.commit)
            for path in (PREDICTED, QUESTIONS, METRICS):
                target = Path(folder, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                files.get_file(path, str(target))
            return evidence_in(Path(folder))
        except (EgovlmError, OSError, ValueError) as error:
            raise _lost(version, error) from error
        except Exception as error:  # DVC's many errors: no cache, no remote, no such revision
            raise _lost(version, error) from error


def _lost(version: Version, error: Exception) -> ChampionUnresolvable:
    return ChampionUnresolvable(
        f"the predictions of the champion {version.name} ({version.commit[:10]}) are unavailable ({error}), so "
        f"nothing was promoted. Fetch them (`dvc fetch --all-tags {ANSWERS}`), or make them again "
        f"(`dvc exp apply {version.commit[:10]}`, `egovlm run`, then back to this run), {FORGET}"
    )


def _same_weights(project: Project, commit: str, current: Version | None) -> str | None:
    """Which known model this is: the champion, or one that a person withdrew. The gate does not overrule a person."""
    if current is None:
        return None
    mine = _weights(project, commit)
    if _weights(project, current.commit) == mine:
        return f"the weights are those of the champion {current.name}"
    for version in withdrawn(project):
        if _weights(project, version.commit) == mine:
            name = version.name
            return f"the weights are those of {name}, which was rolled back; `egovlm rollback --to {name}` restores it"
    return None


def _weights(project: Project, commit: str) -> object:
    """What the dvc.lock of `commit` says about the trained model's files."""
    try:
        lock = yaml.safe_load(project.git("show", f"{commit}:dvc.lock"))
        return [(out["path"], out["md5"]) for out in lock["stages"][TRAIN]["outs"] if "reports" not in out["path"]]
    except (StageError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ChampionUnresolvable(f"the dvc.lock of {commit[:10]} describes no model: {error}") from error


def _card(project: Project, verdict: Verdict) -> str:
    """The tag's message: verdict first, then the run's own model card."""
    path = project.root / MODEL_CARD
    card = path.read_text(encoding="utf-8") if path.is_file() else "(this run wrote no model card)"
    return f"{verdict}\n\n{card}"


def _json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value
