"""From questions to predictions: plan what each model is shown, prompt in batches of similar length, parse the
answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pipeline.answers.keyframes import parse_keyframes
from pipeline.answers.parser import ParseOutcome, parse_answer
from pipeline.answers.prompts import build_messages, fill
from pipeline.answers.thinking import chosen_letter, reopen, reopen_undecided
from pipeline.errors import ItemError
from pipeline.evaluation.backends import Backend, Request, ShownFrames
from pipeline.evaluation.response_cache import ResponseCache, batches_by_length
from pipeline.evaluation.runs import REASKED, Mode, Run
from pipeline.evaluation.views import VIEWS, Context, ViewedQuestion
from pipeline.models.clip_frames import ClipFrames
from pipeline.models.sampling import Sampling
from pipeline.models.vision import clip_digest
from pipeline.records import LETTERS, Prediction

LoadClip = Callable[[str], ClipFrames]
"""Clip id to frames; raises ItemError if the clip has none."""


@dataclass(frozen=True)
class PromptedQuestion:
    """A question and its prompt. `request` is None if the clip cannot be loaded; `failure` then says why.
    `continuation` is what is scored for each option, of modes that score."""

    shown: ViewedQuestion
    prompt: str
    request: Request | None
    pts_seconds: tuple[float, ...]
    failure: str = ""
    continuation: str = ""


@dataclass(frozen=True)
class EvaluatedModel:
    """A model to evaluate: the backend that answers, and the digest of its files."""

    name: str
    digest: str
    backend: Backend


@dataclass(frozen=True)
class EvaluationSetup:
    """What a run needs besides the model: the modes, the frames, the cache, and a callback per question answered."""

    modes: Mapping[str, Mode]
    load_clip: LoadClip
    cache: ResponseCache
    batch_size: int
    seed: int
    code: str
    progress: Callable[[int], object]


def plan(view: str, context: Context) -> list[ViewedQuestion]:
    """Every way in which `view` presents the questions."""
    return [shown for question in context.questions_of(view) for shown in VIEWS[view](question, context)]


def predict(run: Run, model: EvaluatedModel, setup: EvaluationSetup, context: Context) -> list[Prediction]:
    """All predictions of one run, in order of the questions."""
    mode = setup.modes[run.mode]
    todo = plan(run.view, context)
    found: dict[int, list[Prediction]] = _chosen_already(run, mode, todo, context)
    setup.progress(len(found))
    open_ = [i for i in range(len(todo)) if i not in found]
    for places in batches_by_length([_length(todo[i]) for i in open_], setup.batch_size):
        batch = [open_[place] for place in places]
        built = [build_request(todo[i], mode.template, setup.load_clip, run.view) for i in batch]
        prompted = [_begin(one, run, mode, context) for one in built]
        answers = _answers(run, mode, prompted, model, setup)
        for i, one, replies in zip(batch, prompted, answers, strict=True):
            found[i] = [read_reply(run, one, reply, sample, context) for sample, reply in enumerate(replies)]
        setup.progress(len(batch))
    return [prediction for i in range(len(todo)) for prediction in found[i]]


def _length(shown: ViewedQuestion) -> int:
    """Characters of text: prompts of similar length share a batch (clips mostly have the same number of frames)."""
    return len(shown.question.question) + sum(map(len, shown.question.options))


def build_request(shown: ViewedQuestion, template: str, load_clip: LoadClip, view: str) -> PromptedQuestion:
    """Load and choose the frames and write the prompt; a clip that cannot be loaded makes its question fail."""
    question, clip = shown.question, shown.donor or shown.question
    options = [question.options[i] for i in shown.order]
    try:
        frames = load_clip(clip.clip_id)
        pick = list(shown.pick(len(frames.images)))
        pts = np.asarray(frames.pts_seconds, float)[sorted(pick)]
        text = fill(template, question.question, options, pts.tolist(), clip.start_seconds, clip.end_seconds)
    except ItemError as error:
        return PromptedQuestion(shown, "", None, (), f"failed_{error.reason}")
    if shown.donor is None:
        return PromptedQuestion(shown, text, Request(build_messages(text, None), "", None), ())
    key = f"{clip.clip_id}|{view}|{question.question_id}"
    picture = ShownFrames(np.ascontiguousarray(frames.images[pick]), pts)
    messages = build_messages(text, key, clip.start_seconds)
    return PromptedQuestion(shown, text, Request(messages, key, picture), tuple(pts.tolist()))


def _chosen_already(
    run: Run, mode: Mode, todo: Sequence[ViewedQuestion], context: Context
) -> dict[int, list[Prediction]]:
    """Of a forced choice those questions, by place, whose greedy completion wrote a letter: it is the likeliest one."""
    found: dict[int, list[Prediction]] = {}
    for i, shown in enumerate(todo if mode.begun_by is not None and run.name != REASKED else ()):
        free = context.written[run.view][shown.question.question_id]
        letter = chosen_letter(free.completion)
        if letter is not None and free.option is not None and shown.order[free.option] == LETTERS.index(letter):
            scored = {"mode": run.mode, "outcome": "scored", "completion": "", "completion_tokens": 0}
            found[i] = [free.model_copy(update={**scored, "keyframe_seconds": None, "keyframe_frames": None})]
    return found


def _begin(prompted: PromptedQuestion, run: Run, mode: Mode, context: Context) -> PromptedQuestion:
    """The question as `mode` scores it: after the completion's own thinking, if the mode continues one."""
    if mode.begun_by is None or prompted.request is None:
        return replace(prompted, continuation=mode.continuation or "")
    reordered = run.name == REASKED
    completion = context.written["video" if reordered else run.view][prompted.shown.question.question_id].completion
    kept = reopen_undecided(completion) if reordered else reopen(completion)
    return replace(prompted, request=replace(prompted.request, begun=kept.text), continuation=kept.continuation)


def _answers(
    run: Run, mode: Mode, prompted: Sequence[PromptedQuestion], model: EvaluatedModel, setup: EvaluationSetup
) -> list[list[dict[str, Any]]]:
    """Replies per question: kept ones, or the model's. Replies are JSON types: `text`, `tokens`, `finished`, or
    `log_probabilities`, or `failure`."""
    ready = [one for one in prompted if one.request is not None]
    replies: list[dict[str, Any]] = []
    if ready:
        content = _content(run, mode, ready, model, setup)
        replies = setup.cache.responses(content, lambda: _respond_in_parts(run, mode, ready, model.backend, setup.seed))
    per_question = iter(replies[i : i + mode.samples] for i in range(0, len(replies), mode.samples))
    return [next(per_question) if one.request else [{"failure": one.failure}] * mode.samples for one in prompted]


def _content(
    run: Run, mode: Mode, prompted: Sequence[PromptedQuestion], model: EvaluatedModel, setup: EvaluationSetup
) -> dict[str, Any]:
    """Everything that determines the replies to a batch."""
    requests = [one.request for one in prompted if one.request is not None]
    return {
        "model": model.digest,
        "code": setup.code,
        "mode": vars(mode),
        "seeds": _seeds(prompted, run, setup.seed),
        "prompts": [[one.prompt, one.pts_seconds, one.shown.order, one.continuation] for one in prompted],
        "begun": [request.begun for request in requests],
        "frames": [clip_digest(request.frames) if request.frames else "" for request in requests],
    }


def _seeds(prompted: Sequence[PromptedQuestion], run: Run, seed: int) -> list[str]:
    return [f"{seed}|{run.name}|{one.shown.question.question_id}|{one.shown.order}" for one in prompted]


def _respond_in_parts(
    run: Run, mode: Mode, prompted: Sequence[PromptedQuestion], backend: Backend, seed: int
) -> list[dict[str, Any]]:
    """Replies to a batch. A batch that does not fit into GPU memory is run in halves. If one of its questions cannot
    be prompted, each is run separately, so that only that one fails."""
    try:
        return _respond(run, mode, prompted, backend, seed)
    except torch.OutOfMemoryError:
        if len(prompted) == 1:
            raise
        halves = prompted[: len(prompted) // 2], prompted[len(prompted) // 2 :]
        return [reply for half in halves for reply in _respond_in_parts(run, mode, half, backend, seed)]
    except ItemError as error:
        if len(prompted) == 1:
            return [{"failure": f"failed_{error.reason}"}] * mode.samples
        return [reply for one in prompted for reply in _respond_in_parts(run, mode, [one], backend, seed)]


def _respond(
    run: Run, mode: Mode, prompted: Sequence[PromptedQuestion], backend: Backend, seed: int
) -> list[dict[str, Any]]:
    requests = [one.request for one in prompted if one.request is not None]
    if mode.continuation is not None:
        texts = [continuations(one.continuation, one.shown) for one in prompted]
        return [{"log_probabilities": scores} for scores in backend.score(requests, texts)]
    sampling = Sampling(mode.max_new_tokens, mode.temperature)
    groups = backend.complete(requests, sampling, mode.samples, _seeds(prompted, run, seed))
    return [{"text": c.text, "tokens": len(c.token_ids), "finished": c.finished} for group in groups for c in group]


def continuations(template: str, shown: ViewedQuestion) -> list[str]:
    """The text to score for each option, in the order shown; `{letter}` and `{option}` are filled in."""
    options = [shown.question.options[i] for i in shown.order]
    return [template.replace("{letter}", LETTERS[i]).replace("{option}", text) for i, text in enumerate(options)]


def read_reply(
    run: Run, prompted: PromptedQuestion, reply: Mapping[str, Any], sample: int, context: Context
) -> Prediction:
    """A reply as a prediction, its option translated to the question's own order."""
    shown, question = prompted.shown, prompted.shown.question
    option, outcome, probabilities = _decide(reply, shown)
    seconds, frames = _named(reply.get("text", ""), prompted)
    return Prediction(
        question_id=question.question_id,
        video_id=question.video_id,
        parent_video_id=context.parents[question.video_id],
        family=question.family,
        model=run.model,
        mode=run.mode,
        view=run.view,
        sample=sample,
        seen_clip_id=None if shown.donor is None else shown.donor.clip_id,
        frame_seconds=prompted.pts_seconds,
        prompt=prompted.prompt,
        option_order=shown.order,
        completion=reply.get("text", ""),
        completion_tokens=reply.get("tokens", 0),
        finished=reply.get("finished", True),
        outcome=outcome,
        option=option,
        answer=question.answer,
        keyframe_seconds=seconds,
        keyframe_frames=frames,
        option_probabilities=probabilities,
    )


def _decide(reply: Mapping[str, Any], shown: ViewedQuestion) -> tuple[int | None, str, tuple[float, ...] | None]:
    """(own index of the option chosen, outcome, probability per own option if they were scored)."""
    if "failure" in reply:
        return None, reply["failure"], None
    if "log_probabilities" in reply:
        scores = np.asarray(reply["log_probabilities"])
        shares = np.exp(scores - scores.max())
        own = np.empty(len(scores))
        own[list(shown.order)] = shares / shares.sum()
        return shown.order[int(scores.argmax())], "scored", tuple(own.tolist())
    parsed = parse_answer(reply["text"], [shown.question.options[i] for i in shown.order])
    option = None if parsed.option is None else shown.order[parsed.option]
    return option, parsed.outcome.value, None


def _named(completion: str, prompted: PromptedQuestion) -> tuple[tuple[float, ...] | None, tuple[int, ...] | None]:
    """(key times in seconds of the video file, indices of the nearest shown frames); None if none can be read."""
    named = parse_keyframes(completion)
    if named is None or prompted.shown.donor is None:
        return None, None
    seconds = [t + prompted.shown.donor.start_seconds for t in named]
    pts = np.asarray(prompted.pts_seconds)
    return tuple(seconds), tuple(int(np.abs(pts - t).argmin()) for t in seconds)


def is_strict(prediction: Prediction, modes: Mapping[str, Mode]) -> bool:
    """Whether the answer has the requested form."""
    bare = prediction.outcome == ParseOutcome.BARE and modes[prediction.mode].bare_is_strict
    return bare or prediction.outcome in (ParseOutcome.TAGGED, "scored")
