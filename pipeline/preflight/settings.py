"""Settings that contradict each other or the sources, reported now and not by a stage after hours."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import ModelError
from pipeline.params import Params
from pipeline.preflight.findings import Finding
from pipeline.sources.egoschema import EgoschemaParams
from pipeline.sources.registry import read_sections
from pipeline.sources.synthetic import SyntheticParams
from pipeline.synthetic.world import WINDOWS


def check_settings(params: Params, root: Path) -> Iterator[Finding]:
    """What the sections require of each other."""
    yield from _decontamination(params, root)
    yield from _benchmark(params)
    yield from _tiny_base(params)
    if params.train_grpo.dev_questions and not has_dev_split(params):
        found = f"train_grpo.dev_questions {params.train_grpo.dev_questions}, but no source has a dev split"
        mend = "give one source `split: by_hash` with prepare_questions.splits.dev above 0, or set dev_questions: 0"
        yield Finding("dev split", "warn", found, mend)


def has_dev_split(params: Params) -> bool:
    """Whether any source states a dev split or leaves the split open."""
    open_ = params.prepare_questions.splits.dev > 0
    for section in read_sections(params).values():
        if isinstance(section, SyntheticParams) and section.videos_dev:
            return True
        split = getattr(section, "split", None)
        if split == "dev" or (split == "by_hash" and open_):
            return True
    return False


def _decontamination(params: Params, root: Path) -> Iterator[Finding]:
    settings, stages = params.validate_dataset, ("validate_dataset",)
    sections = read_sections(params).items()
    real = [name for name, section in sections if getattr(section, "split", None) in ("train", "by_hash")]
    if not real and settings.egoschema_windows is None and settings.egoschema_questions is None:
        return
    from pipeline.checks.dataset import UNWANTED, needs_questions, needs_windows  # not needed for the embedded default

    if real and settings.egoschema_windows is None:
        yield Finding("leakage", "fail", needs_windows(real), "set it", stages)
    elif real and settings.egoschema_windows != UNWANTED and settings.egoschema_questions is None:
        yield Finding("leakage", "fail", needs_questions(real), "set it", stages)
    for key in ("egoschema_windows", "egoschema_questions"):
        value = getattr(settings, key)
        if value not in (None, UNWANTED) and not (root / value).is_file():
            yield Finding(
                "leakage",
                "fail",
                f"validate_dataset.{key}: {value} does not exist",
                "get the file, or correct the path",
                stages,
            )


def _tiny_base(params: Params) -> Iterator[Finding]:
    """What the tiny base is taught beside what it is asked: other numbers of frames and untaught families are said."""
    taught = params.prepare_model.tiny
    if params.prepare_model.recipe != "tiny":
        return
    yield from _tiny_family(taught.family)
    if params.extract_frames.frames_per_clip != WINDOWS:
        found = f"taught {WINDOWS} frames a clip, extract_frames gives {params.extract_frames.frames_per_clip}"
        yield Finding(
            "tiny base", "warn", found, f"set extract_frames.frames_per_clip: {WINDOWS}, or expect low scores"
        )
    sections = [s for s in read_sections(params).values() if isinstance(s, SyntheticParams)]
    unknown = sorted({family for section in sections for family in section.families} - set(taught.families))
    if unknown:
        found = f"never taught the families {', '.join(unknown)}, which a synthetic source asks"
        yield Finding("tiny base", "warn", found, "add them to prepare_model.tiny.families")


def _tiny_family(name: str) -> Iterator[Finding]:
    if name == "qwen2_5_vl":  # the embedded default: importing the families takes seconds
        return
    from pipeline.models.families import small_family

    try:
        small_family(name)
    except ModelError as error:
        yield Finding("tiny base", "fail", str(error), "name one of these", ("prepare_model",))


def _benchmark(params: Params) -> Iterator[Finding]:
    name = params.evaluate_egoschema.benchmark
    if not name.startswith("egoschema"):
        return
    sources = [s for s in read_sections(params).values() if isinstance(s, EgoschemaParams)]
    stages = ("evaluate_egoschema",)
    if not sources:
        yield Finding("benchmark", "fail", f"{name}, but no source is of kind egoschema", "enable one", stages)
    elif name == "egoschema_full" and all(source.only_answered for source in sources):
        mend = "set only_answered: false for a submission of all 5,031"
        yield Finding("benchmark", "warn", "egoschema_full, but the source provides only the answered questions", mend)
