"""The dataset card, in the Hugging Face hub's format: what the dataset contains and what the checks found."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from huggingface_hub import DatasetCardData

from pipeline.checks.findings import CheckFinding
from pipeline.checks.ledger import Account
from pipeline.checks.shortcuts import ProbeScore
from pipeline.escape import markdown_cell
from pipeline.records import Question, Video

SPLITS = ("train", "dev", "test")
LIBRARIES = ("av", "great-expectations", "numpy", "opencv-python-headless", "pyarrow", "scipy")


def dataset_card(
    questions: Sequence[Question],
    videos: Mapping[str, Video],
    leakage: Mapping[str, Any],
    probes: Mapping[str, Sequence[ProbeScore]],
    accounts: Sequence[Account],
    reasons: Mapping[str, int],
    findings: Sequence[CheckFinding],
    checksums: Mapping[str, str],
) -> str:
    """Markdown with a YAML head; the same data give the same text."""
    title = "egovlm dataset" + (" (LEAKY: not for scores)" if leakage["leaky"] else "")
    data = DatasetCardData(
        pretty_name=title,
        language=["en"],
        license="other",
        license_name="those of the sources",
        task_categories=["video-text-to-text", "multiple-choice"],
        size_categories=[_size(len(questions))],
        tags=["egocentric", "video-question-answering"],
    )
    sections = [
        f"# {title}",
        "Multiple-choice questions on egocentric video, made and checked by egovlm's data stages.",
        "## Sources",
        _sources(questions, videos),
        "## Splits",
        "Splits are kept apart by recording.",
        _splits(questions, videos),
        "Files that belong to one recording are known by these rules (a video of no rule is its own recording):",
        _recordings(questions, videos),
        "## Leakage",
        _leakage(leakage),
        "## What a model that never sees the video could score",
        _probes(probes),
        "## Left out",
        _accounts(accounts, reasons),
        "## Failed checks",
        "\n".join(f"* {finding.check.severity}: {markdown_cell(finding)}" for finding in findings) or "None.",
        "## Versions and checksums",
        _table(("file", "sha256"), sorted(checksums.items())),
        _table(("library", "version"), [(name, version(name)) for name in LIBRARIES]),
    ]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"


def _size(questions: int) -> str:
    """The hub's size category."""
    steps = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((name for limit, name in steps if questions < limit), "1M<n<10M")


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(markdown_cell, line)) + " |" for line in lines)


def _sources(questions: Sequence[Question], videos: Mapping[str, Video]) -> str:
    rows = []
    for source in sorted({q.source for q in questions}):
        own = [q for q in questions if q.source == source]
        used = {q.video_id for q in own}
        hours = sum(videos[video_id].duration_seconds for video_id in used) / 3600
        licences = ", ".join(sorted({q.licence for q in own} | {videos[v].licence for v in used})) or "not stated"
        drawn = sum(q.recipe != "source" for q in own)
        rows.append((source, licences, len(used), f"{hours:.2f}", len(own), drawn))
    return _table(("source", "licence", "videos", "hours", "questions", "of them changed by us"), rows)


def _splits(questions: Sequence[Question], videos: Mapping[str, Video]) -> str:
    rows = []
    for split in SPLITS:
        own = [q for q in questions if q.split == split]
        letters = Counter("ABCDE"[q.answer] for q in own if q.answer is not None)
        recordings = {videos[q.video_id].parent_video_id for q in own}
        shares = " ".join(f"{letter} {letters[letter]}" for letter in sorted(letters)) or "no public answers"
        rows.append((split, len(own), len(recordings), sum(q.keyframe_seconds is not None for q in own), shares))
    return _table(("split", "questions", "recordings", "with true key times", "answers"), rows)


def _recordings(questions: Sequence[Question], videos: Mapping[str, Video]) -> str:
    used = [videos[video_id] for video_id in sorted({q.video_id for q in questions})]
    rows = []
    for source, rule in sorted({(video.source, video.parent_rule) for video in used}):
        own = [video for video in used if (video.source, video.parent_rule) == (source, rule)]
        sizes = Counter(video.parent_video_id for video in own)
        rows.append((source, rule or "none", len(own), len(sizes), max(sizes.values())))
    return _table(("source", "rule", "videos", "recordings", "most videos of one"), rows)


def _leakage(leakage: Mapping[str, Any]) -> str:
    looked = leakage["egoschema_windows"] or "EgoSchema was not compared: all training videos are synthetic"
    state = "STAY IN THE DATA (allow_leakage)" if leakage["leaky"] else "were left out"
    lead = (
        f"Compared with {leakage['recordings_in_evaluation']} recordings that evaluation uses ({looked}): "
        f"{leakage['leaks']} of {leakage['training_questions']} training questions leak and {state}."
    )
    rows = [(name, found["training_questions"], *found["leaks"].values()) for name, found in leakage["sources"].items()]
    kinds = next((list(found["leaks"]) for found in leakage["sources"].values()), [])
    return lead + ("\n\n" + _table(("source", "training questions", *kinds), rows) if rows else "")


def _probes(probes: Mapping[str, Sequence[ProbeScore]]) -> str:
    rows = [
        (
            split,
            score.rule,
            score.questions,
            f"{score.accuracy:.3f}",
            f"{score.low:.3f}-{score.high:.3f}",
            f"{score.chance:.3f}",
        )
        for split, scores in probes.items()
        for score in scores
    ]
    return _table(("split", "rule", "questions", "accuracy", "99 % interval", "chance"), rows)


def _accounts(accounts: Sequence[Account], reasons: Mapping[str, int]) -> str:
    rows = [(a.stage, a.kind, a.into, a.out, a.quarantined) for a in accounts]
    listed = "\n".join(f"* {markdown_cell(reason)}: {count}" for reason, count in reasons.items())
    return _table(("stage", "kind", "in", "out", "left out"), rows) + ("\n\n" + listed if listed else "")
