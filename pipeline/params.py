"""The types of params.yaml: one section per stage, each value once, with its unit in its name or in a comment there.

Nothing has a default here: values live only in params.yaml. A profile (profiles/<name>.yaml) is an overlay that
`egovlm profile <name>` merges into params.yaml.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.errors import ParamsError
from pipeline.sections import Fraction, Plugins, Positive, Section, parse_section
from pipeline.tiny_params import TinyRecipe
from pipeline.train_params import TrainGrpo


class SourceSection(BaseModel):
    """A source of any `kind`; its other keys are checked by the kind's own class (pipeline/sources/registry.py)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str


class DownloadVideos(Section):
    """`ego4d_clips` is a path, `none` (deliberately absent), or null (allowed while no source needs it)."""

    sources: dict[str, SourceSection | None]
    plugins: Plugins
    ego4d_clips: str | None


# --- the data stages --------------------------------------------------------------------------------------------------


class SplitShares(Section):
    """Shares of the recordings whose source leaves the split open; the rest is the test split."""

    train: Fraction
    dev: Fraction


class NearDuplicates(Section):
    """Two questions that share at least `similarity` of their word shingles count as one; the first by id stays."""

    similarity: Fraction
    scope: Literal["recording", "everywhere"]


class PrepareQuestions(Section):
    splits: SplitShares
    shuffle_splits: tuple[Literal["train", "dev", "test"], ...]
    near_duplicates: NearDuplicates | None


class ExtractFrames(Section):
    decoder: Literal["pyav", "decord"]
    frames_per_clip: Positive
    max_pixels: Positive
    size_multiple: Positive
    jpeg_quality: int = Field(ge=1, le=100)
    shards: Positive


class MineKeyframes(Section):
    signal: str
    plugins: Plugins
    samples_per_second: float = Field(gt=0)
    candidates_per_clip: Positive
    spacing_seconds: float = Field(ge=0)


class ClipLimits(Section):
    """When frames cause a warning; pixel values are 0-255."""

    black_below: float = Field(ge=0)
    frozen_below: float = Field(ge=0)
    blurred_below: float = Field(ge=0)
    covers_at_least: Fraction


class ValidateDataset(Section):
    """`egoschema_windows` and `egoschema_questions` are paths, `none` (deliberately absent), or null (allowed while
    all training data is synthetic)."""

    egoschema_windows: str | None
    egoschema_questions: str | None
    text_similarity: Fraction
    allow_leakage: bool
    shortcut_bound: Fraction
    clip_limits: ClipLimits


# --- model, training, evaluation --------------------------------------------------------------------------------------


class Prompts(Section):
    """Prompt texts; `{question}`, `{options}`, `{times}` and `{duration}` are filled in."""

    reasoning: str
    direct: str


class HubRecipe(Section):
    """A base model used as it is: a local `from_pretrained` folder, or a hub id with its pinned commit."""

    model: str
    revision: str | None


class PrepareModel(Section):
    recipe: Literal["tiny", "hub"]
    tiny: TinyRecipe
    hub: HubRecipe


RunName = Annotated[
    str,
    Field(
        pattern="^((reasoning|sampled|direct|likelihood|forced)/"
        "(video|blind|shuffled|middle_frame|reversed|named_frames)|(reasoning|sampled|direct|likelihood)/permuted"
        "|forced/reordered)$"
    ),
]


class EvaluateEgoschema(Section):
    """Runs are `mode/view`: how a model is asked, and what it is shown."""

    benchmark: str
    plugins: Plugins
    splits: tuple[Literal["train", "dev", "test"], ...] = Field(min_length=1)
    max_missing_fraction: Fraction
    runs: tuple[RunName, ...]
    control_questions: Positive | None
    max_new_tokens: Positive
    temperature: float = Field(gt=0)
    samples: Positive
    permutations: int = Field(ge=1, le=4)
    backend: Literal["transformers", "vllm"]
    dtype: Literal["float32", "bfloat16", "float16"]
    threads: Positive
    batch_size: Positive
    confidence: float = Field(gt=0, lt=1)
    bootstrap_draws: Positive

    @model_validator(mode="after")
    def _headline_is_run(self) -> "EvaluateEgoschema":
        if "reasoning/video" not in self.runs:
            raise ValueError("runs must include reasoning/video: the headline accuracy comes from it")
        return self

    @model_validator(mode="after")
    def _forced_go_on(self) -> "EvaluateEgoschema":
        views = [run.removeprefix("forced/") for run in self.runs if run.startswith("forced/")]
        missing = [view for view in views if view != "reordered" and f"reasoning/{view}" not in self.runs]
        if missing:
            raise ValueError(
                f"runs: forced/{missing[0]} goes on from the completions of reasoning/{missing[0]}, which is not run: "
                "add it, or leave both out"
            )
        return self


class VllmEngine(Section):
    """The engine of `rollout: vllm` and `backend: vllm`; see pipeline/engine."""

    environment: str
    max_model_len: Positive
    gpu_memory_utilization: float = Field(gt=0, lt=1)
    cpu_cache_gigabytes: Positive


class Machine(Section):
    """Where to run, how fast, and what to keep. Stages read it but none lists it: no result depends on it."""

    workers: Positive
    executor: Literal["processes", "ray"]
    worker_megabytes_limit: Positive
    clip_seconds_limit: float = Field(gt=0)
    device: Literal["auto", "cpu", "cuda"]
    launch: str | None
    feature_cache_megabytes: Positive
    features_on_disk: bool
    save_steps: Positive
    keep_checkpoints: Positive
    wandb_project: str | None
    engine: VllmEngine


class WriteReport(Section):
    gallery_questions: Positive


class Promotion(Section):
    """When a challenger replaces the champion; read by the flow, not by a stage."""

    min_gain: float
    min_questions: Positive
    max_unparsed_rise: Fraction
    max_keyframe_f1_drop: Fraction
    max_agreement_drop: Fraction


class Publish(Section):
    """Where finished runs and promotions are sent; read by the flows, not by a stage. Unset: nowhere."""

    git_remote: str | None
    dvc_remote: str | None

    @model_validator(mode="after")
    def _data_need_refs(self) -> "Publish":
        if self.dvc_remote is not None and self.git_remote is None:
            raise ValueError("dvc_remote without git_remote would send data that nobody can find: set both")
        return self


class Params(Section):
    """All of params.yaml."""

    seed: int = Field(ge=0)
    max_bad_fraction: Fraction
    prompts: Prompts
    download_videos: DownloadVideos
    prepare_questions: PrepareQuestions
    extract_frames: ExtractFrames
    mine_keyframes: MineKeyframes
    validate_dataset: ValidateDataset
    prepare_model: PrepareModel
    train_grpo: TrainGrpo
    evaluate_egoschema: EvaluateEgoschema
    machine: Machine
    write_report: WriteReport
    promotion: Promotion
    publish: Publish


def load_params(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        ParamsError: the file is missing, is not YAML, or has an unknown key or an invalid value. Every problem is
            named with its key, and an unknown key with the nearest valid one.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError) as error:  # all seen in fuzzing
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    return parse_params(raw, str(path))


def parse_params(raw: Any, where: str = "params.yaml") -> Params:
    """Check already loaded params; see `load_params`."""
    return parse_section(Params, raw, f"{where}: ")
