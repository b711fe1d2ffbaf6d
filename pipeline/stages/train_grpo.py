"""Train the base model with GRPO on the validated questions; see pipeline/grpo."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline.environment import apply_defaults
from pipeline.errors import EgovlmError, ItemError
from pipeline.frames.store import FrameStore
from pipeline.grpo.checkpoints import digest_path
from pipeline.grpo.clips import ClipLoader, feature_cache
from pipeline.grpo.difficulty import Asker, filter_by_difficulty
from pipeline.grpo.idle import idle_settings
from pipeline.grpo.launch import is_main_worker, is_worker, join_processes, run_workers, write_report
from pipeline.grpo.rewards import REWARDS
from pipeline.grpo.run import TrainingRun, explain_out_of_memory, silence_libraries, train
from pipeline.grpo.samples import Sample, build_sample, group_by_clip
from pipeline.layout import BASE, CHECKPOINTS, FRAMES, MINED, POLICY, QUESTIONS, TRAINING_LIVE
from pipeline.models.device import resolve_device, weights_dtype
from pipeline.models.families.family import VIDEO_TOKEN
from pipeline.models.inputs import clip_starts_of, render_prompt, tokenize_prompt, video_text
from pipeline.models.policy import Policy, load_policy
from pipeline.params import Params, load_params
from pipeline.picture import home_of
from pipeline.provenance import ran_from
from pipeline.records import Keyframe, Question, read_rows
from pipeline.reports import StageReport

READS = (QUESTIONS, MINED, FRAMES, BASE)
STATE = f"{CHECKPOINTS}/train_grpo"
HANDOFF = f"{CHECKPOINTS}/train_grpo-report.json"


def run(params: Params, root: Path, report: StageReport) -> None:
    """Read data/dataset, data/keyframes, data/frames and data/models/base; write data/models/policy.

    State for resuming is in data/checkpoints/train_grpo and is deleted once the result is recorded. The base model's
    answers (difficulty) and vision features are kept beside it for other runs. Live metrics are in
    data/reports/live/train_grpo. With `machine.launch`, the processes that it starts do the work.
    """
    report.state.append(root / STATE)
    launch = params.machine.launch
    if launch is None or is_worker():
        _train(params, root, report)
        return
    run_workers(launch, "pipeline.stages.train_grpo", root, root / HANDOFF, report)


def _train(params: Params, root: Path, report: StageReport) -> None:
    work = read_run(params, root, report)
    idle = idle_settings(params.train_grpo, work.train, work.dev)
    report.values["idle_settings"] = idle
    if is_main_worker() or not is_worker():
        for sentence in idle:
            print(f"train_grpo: a setting has no effect: {sentence}", flush=True)
    report.values.update(train(work))


def read_run(params: Params, root: Path, report: StageReport) -> TrainingRun:
    """Everything that training needs; unusable questions go to the report."""
    settings = params.train_grpo
    REWARDS.check(settings.rewards, "train_grpo.rewards", settings.plugins)
    torch.set_num_threads(settings.threads)
    join_processes(params.machine)
    store = FrameStore(root / FRAMES)
    with silence_libraries(), explain_out_of_memory():
        device, dtype = resolve_device(params.machine), weights_dtype(settings)
        policy = load_policy(root / BASE, None, device, dtype, settings.attention)
    questions = read_rows(root / QUESTIONS, Question)
    samples = _samples(params, root, questions, store, policy, report)
    state = root / STATE
    hashes = {path: digest_path(root / path) for path in READS}
    clips = ClipLoader(store, params.machine.feature_cache_megabytes)
    training = [sample for split, sample in samples if split == "train"]
    cache = feature_cache(policy, settings, params.machine, state.with_name("vision"))
    asker = Asker(params.seed, params.prompts.reasoning, settings, policy, clips, cache, hashes)
    with explain_out_of_memory():
        chosen = filter_by_difficulty(asker, training, state.with_name("difficulty"), report)
    return TrainingRun(
        params=params,
        policy=policy,
        train=chosen,
        dev=[sample for split, sample in samples if split == "dev"][: settings.dev_questions],
        clips=clips,
        cache=cache,
        hashes=hashes,
        checkpoints=state,
        live=root / TRAINING_LIVE,
        output=root / POLICY,
        code=ran_from(home_of(root), "train_grpo").get("code", {}),
    )


def _samples(
    params: Params,
    root: Path,
    questions: Sequence[Question],
    store: FrameStore,
    policy: Policy,
    report: StageReport,
) -> list[tuple[str, Sample]]:
    """(split, sample) of every usable train and dev question; the others go to the report with their reason."""
    mined = group_by_clip(read_rows(root / MINED, Keyframe))
    template, settings = params.prompts.reasoning, params.train_grpo
    context = _context(params, policy)
    samples: list[tuple[str, Sample]] = []
    targets = Counter({"known": 0, "mined": 0, "none": 0})  # where the key times of the keyframe reward come from
    for question in sorted(questions, key=lambda q: q.question_id):
        if question.split not in ("train", "dev"):
            continue
        try:
            if question.clip_id not in store:
                raise ItemError("no_frames", question.clip_id)
            pts = store.pts_seconds(question.clip_id)
            found = mined.get(question.clip_id, [])
            sample = build_sample(question, pts.tolist(), found, template, settings.reward_settings)
            _check_length(policy, sample, store, settings.max_completion_length, context)
        except ItemError as error:
            report.quarantine("question", question.question_id, error.reason, error.detail)
            continue
        report.count("question", "ok")
        samples.append((question.split, sample))
        known = question.keyframe_seconds is not None and settings.reward_settings.keyframe_targets != "mined"
        targets["known" if known else "mined" if sample.key_targets else "none"] += 1
    report.values["key_times"] = dict(targets)
    return samples


def _context(params: Params, policy: Policy) -> int:
    """Tokens that prompt and completion may have together: for the model, and for the engine if one answers."""
    with_engine = params.train_grpo.rollout == "vllm"
    return min(policy.context_length, params.machine.engine.max_model_len) if with_engine else policy.context_length


def _check_length(policy: Policy, sample: Sample, store: FrameStore, max_new_tokens: int, context: int) -> None:
    """A prompt that leaves no room for a completion is refused, never cut.

    Tokenizing every prompt of a large set takes minutes, so only prompts that might be too long are tokenized. A
    byte of text gives at most one token, and a tokenizer's normaliser makes at most three bytes of one.
    """
    pts = store.pts_seconds(sample.clip_id)
    width, height = store.size(sample.clip_id)
    video = video_text(policy, (len(pts), height, width), pts, clip_starts_of(sample.messages)[0])
    tokens = video.count(VIDEO_TOKEN)
    stamps = len(video) - tokens * len(VIDEO_TOKEN)
    text = render_prompt(policy, sample.messages)
    if text.count(VIDEO_TOKEN) == 1 and 3 * (len(text.encode()) + stamps) + tokens + max_new_tokens <= context:
        return
    ids = tokenize_prompt(policy, sample.messages, [video])
    if len(ids) + max_new_tokens > context:
        raise ItemError(
            "prompt_too_long",
            f"{len(ids)} tokens + {max_new_tokens} for the completion exceed the context of {context}",
        )


def _work() -> int:
    """What each process of a launcher runs."""
    apply_defaults()
    report = StageReport("train_grpo")
    try:
        run(load_params(home_of(Path()) / "params.yaml"), Path(), report)
    except EgovlmError as error:
        if is_main_worker():
            print(f"egovlm train_grpo: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if is_main_worker():
        write_report(Path(HANDOFF), report)
    return 0


if __name__ == "__main__":
    sys.exit(_work())
