"""`egovlm init`: use your own videos and questions as the pipeline's source."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.output import AsJson, emit, waiting
from pipeline.cli.place import checkout
from pipeline.errors import ParamsError

if TYPE_CHECKING:
    from pipeline.cli.own_videos import Survey
    from pipeline.params import Params

DATA_SECTIONS = ("download_videos", "validate_dataset")  # sections of a profile that describe its own data
LEFT_OUT_SHOWN = 5


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Your videos.", show_default=False)],
    questions: Annotated[
        Path | None, typer.Option(help="JSONL, JSON, CSV or parquet; default: FOLDER/questions.jsonl.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the source in params.yaml.")] = "mine",
    licence: Annotated[str, typer.Option(help="The licence under which you use the videos.")] = "not stated",
    profile: Annotated[
        str | None, typer.Option(help="Take model and settings from profiles/PROFILE.yaml, such as `full`.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only check; do not change params.yaml.")] = False,
    as_json: AsJson = False,
) -> None:
    """Use a folder of your own videos as the pipeline's source.

    Checks every video and question first, and says what a score on them can show and what the model can do with
    them. Then it writes the source into params.yaml and keeps the comments. `egovlm run` then trains and evaluates
    on them.

    \b
    Examples:
      egovlm init inputs/clips
      egovlm init inputs/clips --check            # check, change nothing
      egovlm init inputs/clips --profile full     # Qwen2.5-VL-3B instead of the tiny model; needs a GPU
    """
    from pipeline.cli.own_videos import find_questions, survey
    from pipeline.profiles import merge_overlay, write_merged
    from pipeline.sources.local import LocalParams

    root, file = checkout(), questions or find_questions(folder)
    text = _params_text(root)
    source = LocalParams(
        kind="local", folder=str(folder), questions=str(file), format="native", frame_rate=None, split="by_hash",
        licence=licence,
    )  # fmt: skip
    written = source.model_copy(update={"folder": _from(root, folder), "questions": _from(root, file)})
    overlays = [*_settings(root, profile), _data(name, written.model_dump(), text)]
    params = _parsed(merge_overlay(text, *overlays))
    with waiting(f"looking at {folder} ..."):
        found = survey(name, source, params)
    if found.shares is not None:
        overlays.append({"prepare_questions": {"splits": dict(found.shares)}})
    if not check:
        write_merged(root, *overlays)
    emit(_as_dict(found, params), "\n".join([*_lines(found, params), _next(name, check)]), as_json)


def _from(root: Path, path: Path) -> str:
    """`path` as params.yaml in `root` names it: relative if it is below `root`."""
    full = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links
    return str(full.relative_to(root.absolute())) if full.is_relative_to(root.absolute()) else str(full)


def _params_text(root: Path) -> str:
    path = root / "params.yaml"
    if not path.is_file():
        raise ParamsError(f"no params.yaml in {root.resolve()}: run this in a checkout of egovlm")
    return path.read_text(encoding="utf-8")


def _parsed(text: str) -> "Params":
    import yaml

    from pipeline.params import parse_params

    return parse_params(yaml.safe_load(text))


def _settings(root: Path, profile: str | None) -> list[dict[str, Any]]:
    """A profile without the sections that describe its own data."""
    from pipeline.profiles import read_profile

    if profile is None:
        return []
    return [{key: value for key, value in read_profile(root, profile).items() if key not in DATA_SECTIONS}]


def _data(name: str, source: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The overlay that makes `source` the only source, and its held-out questions the benchmark."""
    before = _parsed(text)
    validate = before.validate_dataset
    unset = [key for key in ("egoschema_windows", "egoschema_questions") if getattr(validate, key) is None]
    return {
        "download_videos": {"sources": {**dict.fromkeys(before.download_videos.sources), name: dict(source)}},
        "validate_dataset": dict.fromkeys(unset, "none"),
        "evaluate_egoschema": {"benchmark": "all"},
    }


def _lines(found: "Survey", params: "Params") -> list[str]:
    seconds = sum(video.duration_seconds for video in found.videos.values())
    shares = f"; prepare_questions.splits.train is {found.shares['train']:g} for that" if found.shares else ""
    parts = [f"{found.count(s)} {use} (recordings: {found.recordings(s)})" for s, use in _USES if found.count(s)]
    return [
        f"videos     {len(found.videos)}, {seconds / 60:.1f} minutes in all",
        f"questions  {len(found.questions)}: {', '.join(parts)}{shares}",
        f"left out   {_left_out(found)}",
        f"score      {_worth(found.count('test'))}",
        f"shortcuts  {_shortcuts(found, params.validate_dataset.shortcut_bound)}",
        f"model      {_model(found, params)}",
    ]


_USES = (("train", "for training"), ("dev", "to monitor training"), ("test", "for the score"))


def _left_out(found: "Survey") -> str:
    if not found.left_out:
        return "nothing"
    reasons = ", ".join(f"{n} {why}" for why, n in sorted(Counter(q.reason for q in found.left_out).items()))
    shown = "; ".join(f"{q.item_id}: {q.detail or q.reason}" for q in found.left_out[:LEFT_OUT_SHOWN])
    return f"{len(found.left_out)} ({reasons}): {shown}"


def _worth(questions: int) -> str:
    """What a score on this many questions can show, if the models differ on three in ten of them."""
    from pipeline.evaluation.statistics import minimal_detectable_difference

    least = minimal_detectable_difference(questions, 0.3)
    if least is None:
        return f"{questions} questions are too few to show any difference: the score only shows that everything works"
    return f"{questions} questions can only show differences of about {100 * least:.0f} points or more"


def _shortcuts(found: "Survey", bound: float) -> str:
    """What the shortcut check of validate_dataset will say."""
    sure = [p for p in found.probes if p.exceeds(bound)]
    unsure = [p for p in found.probes if p.questions_needed(bound) is not None]
    worst = max(sure or unsure, key=lambda p: abs(p.gain), default=None)
    if worst is None:
        return "none found: no rule that ignores the video beats chance"
    rule = (
        f"`{worst.rule}` answers {worst.accuracy:.0%} of {worst.questions} questions "
        f"correctly (chance {worst.chance:.0%})"
    )
    if sure:
        return f"{rule}: validate_dataset will stop. Rewrite the options, or raise validate_dataset.shortcut_bound"
    return f"{rule}; about {worst.questions_needed(bound)} questions are needed to tell whether that is luck"


def _model(found: "Survey", params: "Params") -> str:
    """What the base model can do with such videos."""
    if params.prepare_model.recipe != "tiny":
        return f"{params.prepare_model.hub.model}; `egovlm doctor` says whether this machine can train it"
    from pipeline.cli.own_videos import words_of
    from pipeline.synthetic.vocabulary import world_texts

    words = found.words()
    unknown = len(words - words_of([*world_texts(), params.prompts.reasoning, params.prompts.direct]))
    return (
        f"the tiny model, which knows only a rendered world: {unknown} of the {len(words)} words in your questions "
        "are unknown to it. On your videos its answers are well formed but meaningless; the run only shows that "
        "your data go through. For a model that can answer them, add `--profile full` (needs a GPU)"
    )


def _next(name: str, check: bool) -> str:
    if check:
        return "params.yaml is unchanged"
    return (
        f"params.yaml now holds the source {name}: `egovlm run` trains and evaluates on it, "
        "`git diff params.yaml` shows the change"
    )


def _as_dict(found: "Survey", params: "Params") -> dict[str, Any]:
    bound = params.validate_dataset.shortcut_bound
    return {
        "videos": len(found.videos),
        "questions": {split: found.count(split) for split, _ in _USES},
        "recordings": {split: found.recordings(split) for split, _ in _USES},
        "left_out": [row.model_dump() for row in found.left_out],
        "splits": found.shares,
        "shortcuts": [probe.as_dict() for probe in found.probes if probe.exceeds(bound)],
    }


def register(app: typer.Typer) -> None:
    """Add `init` to the command."""
    app.command()(init)
