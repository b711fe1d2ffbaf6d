"""The road of docs/full_scale.md: profile, doctor, nine stages, a submission, a comparison, the promotion gate."""

import hashlib
import json
from collections import Counter
from typing import Any

from benchmarks.rehearsal.base_model import write_base
from benchmarks.rehearsal.egoit import QUESTIONS_PER_VIDEO, write_egoit
from benchmarks.rehearsal.egoschema import QUESTIONS as ALL_QUESTIONS
from benchmarks.rehearsal.egoschema import write_egoschema
from benchmarks.rehearsal.place import ROOT, Failed, Place, made_up_overlay, make_project
from benchmarks.rehearsal.stand_in import STAND_INS
from pipeline.layout import (
    CHECKPOINTS,
    METRICS,
    MODEL_CARD,
    PAGE,
    QUARANTINE,
    QUESTIONS,
    SUBMISSION,
    cost_of,
    report_of,
)

MADE_AGAIN = (
    "evaluate_egoschema.benchmark=egoschema_full",
    "download_videos.sources.egoschema.only_answered=false",
    'evaluate_egoschema.runs=["reasoning/video"]',
    "machine.wandb_project=rehearsal",
)
"""What docs/full_scale.md says for a submission of all 5,031, and wandb, which is offline here."""


def make_inputs(place: Place) -> dict[str, Any]:
    """The stand-in of the base, EgoSchema and EgoIT below inputs/, in a copy of the checkout."""
    make_project(place)
    scale, inputs = place.scale, place.project / "inputs"
    prose = [path.read_text("utf-8") for path in (*ROOT.glob("docs/*.md"), ROOT / "profiles/full.yaml")]
    base = write_base(place.root / "base", place.beside("qwen_tokenizer"), prose, place.family)
    egoschema = write_egoschema(inputs / "egoschema", place.beside("egoschema"), scale.clips, scale.clip_rate)
    parents = egoschema.pop("parents")
    egoit = write_egoit(inputs / "egoit", place.beside("real_clips"), parents, scale.shorts, scale.longs)
    return {"base": base, "egoschema": egoschema, "egoit": egoit}


def choose_profile(place: Place) -> dict[str, Any]:
    """`egovlm profile full` and `egovlm doctor`, which has to refuse; then the overlay, and it has to agree."""
    place.run("egovlm", "profile", "full")
    if (own := STAND_INS[place.family].profile) is not None:
        place.run("egovlm", "profile", own)
    refused = _against(place.run("egovlm", "doctor", codes=(1,)))
    stopped = place.run("egovlm", "run", codes=(1,))
    if "[1/9]" in stopped:
        raise Failed("a run that cannot be finished was not refused before its first stage")
    place.run("egovlm", "profile", "rehearsal")
    if place.beside("egoschema") is None:  # made-up questions: the pin of the real file cannot hold
        digest = hashlib.sha256((place.project / "inputs/egoschema/questions_mc.parquet").read_bytes()).hexdigest()
        made_up_overlay(place, {"download_videos.sources.egoschema.questions_sha256": digest})
    place.run("git", "commit", "-qam", "profile full, in the sizes of a rehearsal")
    warned = _against(place.run("egovlm", "doctor"))
    return {"doctor_refused": refused, "doctor_warns": warned}


def _against(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip().startswith(("XX", "!!"))]


def run_stages(place: Place) -> dict[str, Any]:
    """`egovlm run`: all nine stages; what was planted has to be found, and nothing else."""
    place.run("egovlm", "run", "--experiment", "rehearsed")
    facts = {"stages": {name: _told(place, name) for name in place.params() if _has_report(place, name)}}
    reports = {name: _report(place, name) for name in facts["stages"]}
    reasons = Counter(row["reason"] for row in _rows(place, QUARANTINE))
    leaks = [row["split"] for row in _rows(place, QUESTIONS) if row["question_id"] in _planted(place)]
    if len(leaks) != QUESTIONS_PER_VIDEO or set(leaks) != {"test"} or reasons["leak_parent"] != QUESTIONS_PER_VIDEO:
        raise Failed(
            f"of two planted recordings of EgoSchema one belongs to its own split, test, and one is left out: found "
            f"{Counter(leaks)}, and {reasons['leak_parent']} questions left out as leak_parent"
        )
    if reports["train_grpo"]["values"]["steps"] != place.params()["train_grpo"]["max_steps"]:
        raise Failed(f"training made {reports['train_grpo']['values']['steps']} steps")
    metrics = json.loads((place.project / METRICS).read_text("utf-8"))
    if metrics["questions"] != place.scale.clips:
        raise Failed(f"{place.scale.clips} questions can be asked, {metrics['questions']} were")
    lacking = [name for name in (PAGE, MODEL_CARD) if not (place.project / name).is_file()]
    if lacking:
        raise Failed(f"not written: {', '.join(lacking)}")
    facts["accuracy"] = {name: metrics.get(name) for name in ("questions", "accuracy", "base_accuracy")}
    return {**facts, "left_out_of_the_dataset": dict(reasons)}


def _has_report(place: Place, name: str) -> bool:
    return (place.project / report_of(name)).is_file()


def _report(place: Place, name: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((place.project / report_of(name)).read_text("utf-8"))
    return report


def _told(place: Place, name: str) -> dict[str, Any]:
    cost = json.loads((place.project / cost_of(name)).read_text("utf-8"))
    return {"outcomes": _report(place, name)["outcomes"], **cost}


def _planted(place: Place) -> set[str]:
    """Ids of the questions on planted recordings."""
    rows = json.loads((place.project / "inputs/egoit/questions.json").read_text("utf-8"))
    ids = {row["id"] for row in rows if "Ego4D_clip/" in (row["video"] or "")}
    return ids | {f"{row_id}-1" for row_id in ids}


def _rows(place: Place, file: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(place.project / file).to_pylist()
    return rows


def run_submission(place: Place) -> dict[str, Any]:
    """A second run that writes a submission of all 5,031; `egovlm submit` checks it and is told not to post."""
    settings = [part for value in MADE_AGAIN for part in ("--set", value)]
    place.run("egovlm", "run", "--experiment", "submission", *settings)
    told = place.run("egovlm", "submit", codes=(130,), answer="n\n")
    file = place.project / SUBMISSION / "policy/submission.json"
    answers = json.loads(file.read_text("utf-8"))
    given = sum(answer >= 0 for answer in answers.values())
    if len(answers) != ALL_QUESTIONS or not 0 < given <= place.scale.clips:
        raise Failed(f"the submission has {len(answers)} questions, {given} answered")
    runs = list((place.project / CHECKPOINTS).rglob("offline-run-*"))
    if not runs:
        raise Failed(f"wandb wrote no offline run below {CHECKPOINTS}")
    return {"questions": len(answers), "answered": given, "submit": told.splitlines()[0], "wandb_runs": len(runs)}


def compare_runs(place: Place) -> dict[str, Any]:
    """`egovlm compare` of the two runs, and of base and policy of one."""
    first, second = _saved(place, "rehearsed"), _saved(place, "submission")
    both = json.loads(place.run("egovlm", "compare", first, second, "--json"))
    one = json.loads(place.run("egovlm", "compare", first, first, "--models", "base,policy", "--json"))
    return {"two_runs": both, "base_and_policy": one}


def promote(place: Place) -> dict[str, Any]:
    """`egovlm promote`: a dozen questions prove nothing, so that the gate has to say no, and why."""
    verdict: dict[str, Any] = json.loads(
        _object(place.run("egovlm", "promote", _saved(place, "rehearsed"), "--json", codes=(0, 3)))
    )
    if verdict["promoted"]:
        raise Failed(f"a model was promoted on {place.scale.clips} questions")
    return verdict


def _saved(place: Place, name: str) -> str:
    """The name under which `egovlm run --experiment NAME` kept a run: the given one and a digest."""
    refs = place.run("git", "for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps").split()
    found = sorted({ref for ref in refs if ref.startswith(f"{name}-")})
    if len(found) != 1:
        raise Failed(f"runs called {name}: {found}")
    return found[0]


def _object(text: str) -> str:
    """The JSON object that a command printed between other lines."""
    return text[text.index("{") : text.rindex("}") + 1]
