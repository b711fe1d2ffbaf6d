"""Prompts of the right difficulty: those that the base model answers correctly sometimes, but not always.

The base model is asked only until the run has enough questions for its steps. They come in an order drawn from the
seed, on all processes, in the precision of training. The answers are appended to a file named after what they depend
on, so that a killed, repeated or longer run does not ask again.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from tqdm import tqdm

from pipeline.errors import EmptyInput
from pipeline.grpo.clips import ClipLoader, encode_samples
from pipeline.grpo.config import questions_used
from pipeline.grpo.planning import Group
from pipeline.grpo.sampler import order_of_pass
from pipeline.grpo.samples import Sample
from pipeline.models.generate import make_completion, rollout
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from pipeline.models.vision import FeatureCache
from pipeline.reports import StageReport
from pipeline.train_params import TrainGrpo


@dataclass(frozen=True)
class Asker:
    """Which model is asked, and how: `seed` and `prompt` (the template) of the run, `hashes` of the data that
    answers depend on."""

    seed: int
    prompt: str
    settings: TrainGrpo
    policy: Policy
    clips: ClipLoader
    cache: FeatureCache | None
    hashes: Mapping[str, str]

    def ask(self, samples: Sequence[Sample]) -> dict[str, float]:
        """The base model's share of right answers on each sample, by question id."""
        settings = self.settings
        frames = {s.clip_id: self.clips.load(s.clip_id) for s in samples}
        sampling = Sampling(settings.max_completion_length, settings.temperature, settings.top_p)
        seeds = [f"{self.seed}/difficulty/{s.question_id}" for s in samples]
        with torch.autocast(self.policy.device.type, torch.bfloat16, enabled=settings.dtype == "bfloat16"):
            inputs, features = encode_samples(self.policy, samples, frames, self.cache)
            rows = rollout(self.policy, inputs, features, sampling, settings.difficulty.samples, seeds)
        return {
            sample.question_id: Group(sample, [make_completion(self.policy, ids) for ids in group]).accuracy
            for sample, group in zip(samples, rows, strict=True)
        }

    def answers_file(self, folder: Path) -> Path:
        """The file of answers; its name is a digest of what they depend on."""
        settings = self.settings
        how = [settings.temperature, settings.top_p, settings.max_completion_length, settings.dtype]
        key = [self.seed, self.prompt, *how, settings.difficulty.samples, dict(self.hashes)]
        return folder / f"difficulty-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.jsonl"


def filter_by_difficulty(asker: Asker, samples: Sequence[Sample], folder: Path, report: StageReport) -> list[Sample]:
    """Samples whose accuracy under the base model is in the range of `train_grpo.difficulty`. As many as the run's
    steps use (fewer if there are no more), or all if the filter is off. All processes of a run must call this together.

    Raises:
        EmptyInput: no sample is in the range.
    """
    limits = asker.settings.difficulty
    if not limits.samples:
        return list(samples)
    wanted = min(questions_used(asker.settings), len(samples))
    order = [samples[i] for i in order_of_pass(len(samples), asker.seed, 0)]
    kept: list[Sample] = []
    asked = 0
    path = asker.answers_file(folder)
    bar = tqdm(total=wanted, desc="difficulty", unit="question", disable=not PartialState().is_main_process)
    for sample, accuracy in _accuracies(asker, order, path, lambda: wanted - len(kept)):
        asked += 1
        fits = limits.min_accuracy <= accuracy <= limits.max_accuracy
        report.count("difficulty", "kept" if fits else "too_easy" if accuracy > limits.max_accuracy else "too_hard")
        if fits:
            kept.append(sample)
            bar.update()
        if len(kept) == wanted:
            break
    bar.close()
    report.count("difficulty", "not_asked", len(samples) - asked)
    if not kept:
        raise EmptyInput(
            f"train_grpo: the base's accuracy is outside [{limits.min_accuracy}, {limits.max_accuracy}] on all "
            f"{len(samples)} questions: widen train_grpo.difficulty"
        )
    return kept


def _accuracies(
    asker: Asker, order: Sequence[Sample], path: Path, missing: Callable[[], int]
) -> Iterator[tuple[Sample, float]]:
    """Each sample with the base model's accuracy on it, asked on demand; at most `missing()` at a time."""
    world = PartialState()
    known = _read(path)
    rows = asker.settings.prompts_per_step * asker.settings.num_generations  # as many rows as a rollout has
    size = max(1, rows // asker.settings.difficulty.samples)
    for place, sample in enumerate(order):
        if sample.question_id not in known:
            following = (order[i] for i in range(place, len(order)))
            unknown = (s for s in following if s.question_id not in known)
            batch = list(islice(unknown, min(size, missing())))
            mine = batch[world.process_index :: world.num_processes]
            parts = gather_object([asker.ask(mine) if mine else {}])
            fresh = {name: accuracy for part in parts for name, accuracy in part.items()}
            known |= fresh
            if world.is_main_process:
                _append(path, fresh)
        yield sample, known[sample.question_id]


def _read(path: Path) -> dict[str, float]:
    """Answers that are already saved, the same on all processes; a line that a killed run left incomplete is
    ignored."""
    known: dict[str, float] = {}
    if PartialState().is_main_process and path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                known[row["question_id"]] = float(row["accuracy"])
            except (ValueError, KeyError, TypeError):
                continue
    box = [known]
    broadcast_object_list(box)
    return box[0]


def _append(path: Path, answers: Mapping[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"question_id": name, "accuracy": accuracy}) for name, accuracy in answers.items()]
    with path.open("a", encoding="utf-8") as file:
        # the break comes first, so that an incomplete line stays alone
        file.write("".join(f"\n{line}" for line in lines))
