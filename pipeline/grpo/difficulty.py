"""Prompts of the right difficulty: those the base model answers right sometimes, but not always.

The base's answers are kept in a file named by what they depend on, so that a killed or repeated run does not ask again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from pipeline.errors import EmptyInput
from pipeline.grpo.clips import ClipLoader, encode_samples
from pipeline.grpo.planning import Group
from pipeline.grpo.samples import Sample
from pipeline.models.generate import make_completion, rollout
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from pipeline.params import Params
from pipeline.reports import StageReport, write_json


def filter_by_difficulty(
    params: Params,
    policy: Policy,
    samples: Sequence[Sample],
    clips: ClipLoader,
    folder: Path,
    hashes: Mapping[str, str],
    report: StageReport,
) -> list[Sample]:
    """The samples whose accuracy under the base lies in the range of `train_grpo.difficulty`; all where it is off.

    Raises:
        EmptyInput: none does.
    """
    settings = params.train_grpo.difficulty
    if not settings.samples:
        return list(samples)
    accuracy = base_accuracy(params, policy, samples, clips, folder, hashes)
    kept = [s for s in samples if settings.min_accuracy <= accuracy[s.question_id] <= settings.max_accuracy]
    for sample in samples:
        easy = accuracy[sample.question_id] > settings.max_accuracy
        report.count("difficulty", "kept" if sample in kept else "too_easy" if easy else "too_hard")
    if not kept:
        raise EmptyInput(
            f"train_grpo: the base's accuracy is outside [{settings.min_accuracy}, {settings.max_accuracy}] on all "
            f"{len(samples)} questions: widen train_grpo.difficulty"
        )
    return kept


def base_accuracy(
    params: Params,
    policy: Policy,
    samples: Sequence[Sample],
    clips: ClipLoader,
    folder: Path,
    hashes: Mapping[str, str],
) -> dict[str, float]:
    """Share of right answers of the base on each sample, by question id."""
    settings = params.train_grpo
    asked = [params.seed, params.prompts.reasoning, settings.temperature, settings.top_p, settings.max_new_tokens]
    key = json.dumps([asked, settings.difficulty.samples, dict(hashes), [s.question_id for s in samples]])
    path = folder / f"difficulty-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    known: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    missing = [s for s in samples if s.question_id not in known]
    size = settings.prompts_per_step
    for start in tqdm(range(0, len(missing), size), desc="difficulty", disable=not missing):
        batch = missing[start : start + size]
        known.update(_ask(params, policy, batch, clips))
        write_json(path, dict(sorted(known.items())))
    return known


def _ask(params: Params, policy: Policy, samples: Sequence[Sample], clips: ClipLoader) -> dict[str, float]:
    settings = params.train_grpo
    frames = {s.clip_id: clips.load(s.clip_id) for s in samples}
    inputs, features = encode_samples(policy, samples, frames, None)
    sampling = Sampling(settings.max_new_tokens, settings.temperature, settings.top_p)
    seeds = [f"{params.seed}/difficulty/{s.question_id}" for s in samples]
    rows = rollout(policy, inputs, features, sampling, settings.difficulty.samples, seeds)
    return {
        sample.question_id: Group(sample, [make_completion(policy, ids) for ids in group]).accuracy
        for sample, group in zip(samples, rows, strict=True)
    }
