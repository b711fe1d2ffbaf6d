"""What profiles/rehearsal.yaml may change: sizes, counts and the device. Anything else would be another profile."""

from collections.abc import Iterator, Mapping
from typing import Any

SIZES = (
    "max_bad_fraction",  # how many items may be missing
    "prepare_questions.splits.train",  # how many recordings go where
    "prepare_questions.splits.dev",
    "train_grpo.max_steps",
    "train_grpo.prompts_per_step",
    "train_grpo.num_generations",
    "train_grpo.gradient_accumulation_steps",
    "train_grpo.warmup_steps",
    "train_grpo.max_completion_length",
    "train_grpo.dev_every",
    "train_grpo.dev_questions",
    "evaluate_egoschema.max_missing_fraction",
    "evaluate_egoschema.control_questions",
    "evaluate_egoschema.max_new_tokens",
    "evaluate_egoschema.batch_size",
    "evaluate_egoschema.bootstrap_draws",
    "write_report.gallery_questions",
    "machine.workers",
    "machine.feature_cache_megabytes",
    "machine.save_steps",
)


def forbidden(overlay: Mapping[str, Any]) -> list[str]:
    """What the overlay changes and may not, one `key: value` each."""
    return [f"{key}: {value!r}" for key, value in leaves(overlay) if not _is_size(key, value)]


def leaves(overlay: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values."""
    for key, value in overlay.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_size(key: str, value: Any) -> bool:
    if key == "machine.device":
        return bool(value == "cpu")
    return key in SIZES and isinstance(value, int | float) and not isinstance(value, bool)
