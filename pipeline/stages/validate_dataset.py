"""Stage validate_dataset: make the dataset that training and evaluation read, and check it.

Rows without frames and training rows that leak go to quarantine; the suites check the rest. A critical failure stops
the pipeline after the Data Docs are written, and leaves no dataset behind.
"""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.checks.card import dataset_card
from pipeline.checks.clips import ClipLook, look_at_clips
from pipeline.checks.dataset import DatasetInputs, decontaminate, probe_splits, read_dataset, reference_of, with_frames
from pipeline.checks.findings import CheckFinding, stop_at_critical
from pipeline.checks.leakage import Leak, leakage_report
from pipeline.checks.ledger import Account, balance, read_ledgers, reasons
from pipeline.checks.shortcuts import ProbeScore
from pipeline.checks.suites import suites
from pipeline.checks.tables import (
    clip_table,
    keyframe_table,
    letter_table,
    question_table,
    shortcut_table,
    split_table,
    video_table,
)
from pipeline.files import write_json, write_text
from pipeline.layout import (
    DATA_DOCS,
    DATASET,
    DATASET_CARD,
    LEAKAGE,
    PROBE_HITS,
    PROBES,
    QUARANTINE,
    QUESTIONS,
    RAW,
    VIDEOS,
)
from pipeline.params import Params
from pipeline.records import Quarantined, Question, write_rows
from pipeline.reports import StageReport

SUMMED = (VIDEOS, QUESTIONS, QUARANTINE)
Probes = dict[str, list[ProbeScore]]


def run(params: Params, root: Path, report: StageReport) -> None:
    """Fill `root/data/dataset`; questions.parquet comes last.

    Raises:
        GateError: a critical check failed.
    """
    settings = params.validate_dataset
    (root / QUESTIONS).unlink(missing_ok=True)
    inputs, earlier = read_dataset(root), read_ledgers(root)
    questions = with_frames(inputs, report)
    # leaks do not count as bad: removing them is this stage's work
    report.stop_if_too_bad("question", params.max_bad_fraction)
    looks = look_at_clips(inputs.store, inputs.clips, params.machine.workers)
    questions, leakage, leaking = _decontaminated(questions, looks, inputs, params, root, report)
    probes = probe_splits(questions, inputs.videos, settings, params.seed)
    write_json(root / PROBES, {split: [s.as_dict() for s in scores] for split, scores in probes.items()})
    write_json(root / PROBE_HITS, _evaluation_hits(probes))
    findings = _check(questions, inputs, looks, probes, leaking, params, root)
    ledger = [*earlier, *report.quarantined]
    accounts = _accounts(inputs, questions, ledger)
    report.values = _values(questions, accounts, ledger, findings)
    stop_at_critical(findings, f"{DATA_DOCS}/index.html")
    write_rows(root / QUARANTINE, ledger, Quarantined)
    write_rows(root / QUESTIONS, questions, Question)
    checksums = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in SUMMED}
    card = dataset_card(questions, inputs.videos, leakage, probes, accounts, reasons(ledger), findings, checksums)
    for place in (root / DATASET_CARD, root / DATASET / "README.md"):  # the second one travels with the data
        write_text(place, card)


def _decontaminated(
    questions: Sequence[Question],
    looks: Sequence[ClipLook],
    inputs: DatasetInputs,
    params: Params,
    root: Path,
    report: StageReport,
) -> tuple[list[Question], dict[str, Any], set[str]]:
    """The rows that stay, the leakage report, and the ids of leaking rows that stay. Those are all leaking rows if
    leaks are allowed. Otherwise they are what a second check of the remaining rows finds: none, unless something is
    wrong."""
    settings = params.validate_dataset
    training = [q for q in questions if q.split == "train"]
    reference = reference_of(inputs, questions, settings, root)
    leaks = decontaminate(questions, looks, inputs, settings, root)
    facts = {"recordings_in_evaluation": len(reference.windows), "egoschema_windows": settings.egoschema_windows}
    stamped = leakage_report(leaks, training, settings.allow_leakage, facts)
    write_json(root / LEAKAGE, stamped)
    if settings.allow_leakage or not leaks:
        return list(questions), stamped, {leak.question_id for leak in leaks}
    kept = _without(questions, leaks, report)
    again = decontaminate(kept, looks, inputs, settings, root)
    return kept, stamped, {leak.question_id for leak in again}


def _without(questions: Sequence[Question], leaks: Sequence[Leak], report: StageReport) -> list[Question]:
    for leak in leaks:
        report.count("question", "ok", -1, leak.source)
        report.quarantine("question", leak.question_id, f"leak_{leak.kind}", f"shows {leak.reference}", leak.source)
    leaking = {leak.question_id for leak in leaks}
    return [q for q in questions if q.question_id not in leaking]


def _check(
    questions: Sequence[Question],
    inputs: DatasetInputs,
    looks: Sequence[ClipLook],
    probes: Probes,
    leaking: set[str],
    params: Params,
    root: Path,
) -> list[CheckFinding]:
    """Run the suites and write the Data Docs."""
    from pipeline.checks.docs import write_docs  # importing Great Expectations takes seconds
    from pipeline.checks.expectations import find, validate

    settings = params.validate_dataset
    spans = {clip.clip_id: (clip.start_seconds, clip.end_seconds) for clip in inputs.clips}
    tables = {
        "videos": video_table(list(inputs.videos.values()), root / RAW),
        "clips": clip_table(looks, inputs.keyframes, settings.clip_limits),
        "keyframes": keyframe_table(inputs.keyframes, spans),
        "questions": question_table(questions, inputs.videos, set(inputs.store.clip_ids()), leaking),
        "splits": split_table(questions, inputs.videos),
        "letters": letter_table(questions),
        "shortcuts": shortcut_table(probes, settings.shortcut_bound),
    }
    wanted = suites(settings.allow_leakage)
    results = validate(tables, wanted)
    findings = find(results, wanted)
    write_docs(results, findings, root / DATA_DOCS)
    return findings


def _evaluation_hits(probes: Probes) -> dict[str, dict[str, dict[str, float]]]:
    """Per evaluation split and rule what it has right of each question: the evaluation's floor is paired with it."""
    return {
        split: {score.rule: {question: round(hit, 4) for question, hit in score.hits.items()} for score in scores}
        for split, scores in probes.items()
        if split != "train"
    }


def _accounts(inputs: DatasetInputs, questions: Sequence[Question], ledger: Sequence[Quarantined]) -> list[Account]:
    return [
        balance("prepare_questions", "question", inputs.annotations, len(inputs.questions), ledger),
        balance("validate_dataset", "question", len(inputs.questions), len(questions), ledger),
    ]


def _values(
    questions: Sequence[Question],
    accounts: Sequence[Account],
    ledger: Sequence[Quarantined],
    findings: Sequence[CheckFinding],
) -> dict[str, Any]:
    return {
        "accounts": [account.as_dict() for account in accounts],
        "quarantine": reasons(ledger),
        "failed_checks": [f"{finding.check.severity}: {finding}" for finding in findings],
        "splits": {split: sum(q.split == split for q in questions) for split in ("train", "dev", "test")},
        "great_expectations": version("great-expectations"),
    }
