"""Settings that cannot take effect with these data: reported once, before the first step."""

from collections.abc import Iterator, Sequence

from pipeline.grpo.samples import Sample
from pipeline.train_params import TrainGrpo


def idle_settings(settings: TrainGrpo, train: Sequence[Sample], dev: Sequence[Sample]) -> list[str]:
    """One sentence for each, with the remedy; `dev` is what is used of the dev split."""
    return [*_without_dev(settings, len(dev)), *_without_key_times(settings, train)]


def _without_dev(settings: TrainGrpo, dev: int) -> Iterator[str]:
    if dev < settings.dev_questions and dev:
        yield f"dev_questions {settings.dev_questions}: the data have {dev}"
    if dev or not settings.dev_questions:
        return
    named = f"dev_questions {settings.dev_questions}, dev_every {settings.dev_every}"
    named += f", patience {settings.stopping.patience}" if settings.stopping.patience else ""
    choice = ", select best" if settings.stopping.select == "best" else ""
    yield (
        f"{named}{choice}: the dev split is empty, so nothing is measured during training and the last step is "
        "kept; give a source `split: by_hash` (prepare_questions.splits), or set dev_questions: 0"
    )


def _without_key_times(settings: TrainGrpo, train: Sequence[Sample]) -> Iterator[str]:
    weight = settings.rewards.get("keyframe", 0)
    if weight and train and not any(sample.key_targets for sample in train):
        yield (
            f"rewards.keyframe {weight:g}: no training question has key times, neither its own nor "
            "mined ones (reward_settings.mined_targets), so every completion gets 0"
        )
