"""The control of the ablation: supervised fine-tuning on the answers alone, for as many CPU seconds as GRPO took.

    python benchmarks/answers_only.py --cpu-seconds 63    # in place of `python -m pipeline.stages train_grpo`

Reads what train_grpo reads (params.yaml included) and writes data/models/policy, which evaluate_egoschema then
scores. It uses the same prompt, questions, peak learning rate and warm-up, and a linear decay (over the time). The
vision tower is frozen, its features are cached, and the best of eight dev measurements is kept. The model learns
`<answer>X</answer>`, without thinking or key times. This is not part of the product: EgoVLM is tuned by GRPO alone.
Loading the model and measuring count as time.
"""

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch.nn import functional

from pipeline.environment import apply_defaults
from pipeline.grpo.clips import ClipLoader
from pipeline.grpo.dev import count_correct
from pipeline.grpo.export import export_policy
from pipeline.grpo.run import TrainingRun
from pipeline.grpo.samples import Sample
from pipeline.models.generate import rope_positions, video_kwargs
from pipeline.models.inputs import encode_prompts, render_prompt
from pipeline.models.policy import Policy
from pipeline.models.vision import FeatureCache
from pipeline.params import load_params
from pipeline.records import LETTERS
from pipeline.reports import StageReport
from pipeline.stages.train_grpo import read_run

DEV_MEASUREMENTS = 8


def batches(samples: Sequence[Sample], size: int, seed: int) -> Iterator[list[Sample]]:
    """Batches without end, every sample once per epoch."""
    draw = random.Random(seed)
    while True:
        order = draw.sample(list(samples), len(samples))
        yield from (order[i : i + size] for i in range(0, len(order) - size + 1, size))


def loss_of(policy: Policy, samples: Sequence[Sample], clips: ClipLoader, cache: FeatureCache) -> torch.Tensor:
    """Mean cross-entropy of the answers' tokens (the end token included), scalar."""
    end = policy.tokenizer.eos_token
    answers = [f"<answer>{LETTERS[s.answer]}</answer>{end}" for s in samples]
    texts = [render_prompt(policy, s.messages) + answer for s, answer in zip(samples, answers, strict=True)]
    frames = [[clips.load(s.clip_id)] for s in samples]
    inputs = encode_prompts(policy, texts, frames, with_pixels=False).to(policy.device)
    features = [cache.get(clip) for row in frames for clip in row]
    width = len(policy.tokenizer(answers[0], add_special_tokens=False)["input_ids"])  # letters are one token each
    positions, _ = rope_positions(policy, inputs)
    logits = policy.model(
        input_ids=inputs.input_ids,
        attention_mask=inputs.attention_mask,
        position_ids=positions,
        use_cache=False,
        logits_to_keep=width + 1,
        **video_kwargs(policy, inputs, features),
    ).logits
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), inputs.input_ids[:, -width:].flatten())


def measure(run: TrainingRun, cache: FeatureCache) -> float:
    """Greedy accuracy on the dev questions, as train_grpo measures it."""
    right = count_correct(run.policy, run.dev, run.clips, cache, run.params.train_grpo.max_completion_length, 32)
    return right / len(run.dev)


def fine_tune(run: TrainingRun, cpu_seconds: float, batch: int) -> dict[str, object]:
    """Train until this process has used `cpu_seconds`, put the best weights back, and return the numbers."""
    settings, policy = run.params.train_grpo, run.policy
    policy.base.model.visual.requires_grad_(False)
    weights = [p for p in policy.model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    cache = FeatureCache(policy, run.params.machine.feature_cache_megabytes)
    dev, best, kept = {0: measure(run, cache)}, -1.0, {}
    for step, samples in enumerate(batches(run.train, batch, run.params.seed), start=1):
        part = 1 - time.process_time() / cpu_seconds
        if part > 0:
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * min(1.0, step / settings.warmup_steps) * part
            optimiser.zero_grad(set_to_none=True)
            loss = loss_of(policy, samples, run.clips, cache)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, settings.max_grad_norm)
            optimiser.step()
        if part <= 0 or part < 1 - len(dev) / DEV_MEASUREMENTS:
            dev[step] = measure(run, cache)
            if dev[step] >= best:
                best = dev[step]
                kept = {name: value.clone() for name, value in policy.model.state_dict().items()}
        if part <= 0:
            break
    policy.model.load_state_dict(kept)
    return {"steps": step, "batch": batch, "cpu_seconds": cpu_seconds, "dev_accuracy_by_step": dev}


def main() -> None:
    """Train in the current folder."""
    apply_defaults()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu-seconds", type=float, required=True, help="those of train_grpo, from data/reports/costs")
    parser.add_argument("--batch", type=int, default=32, help="questions per step")
    arguments = parser.parse_args()
    report = StageReport("train_grpo")
    run = read_run(load_params(Path("params.yaml")), Path(), report)
    numbers = fine_tune(run, arguments.cpu_seconds, arguments.batch)
    method = "supervised fine-tuning on answers only"
    export_policy(run.policy, run.output, {"method": method, "numbers": numbers}, f"A control: {method}.\n")
    report.values.update(numbers)
    report.write(Path())
    print(numbers)


if __name__ == "__main__":
    main()
