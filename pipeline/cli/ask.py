"""`egovlm ask`: ask the trained model about your own video."""

import gc
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import typer

from pipeline.cli.output import AsJson, emit, waiting
from pipeline.cli.place import checkout, find_params
from pipeline.cli.videos import End, OutPath, Span, Start, VideoPath, open_span, sample_frames
from pipeline.errors import ModelError, ParamsError
from pipeline.layout import POLICY


@dataclass(frozen=True)
class Reply:
    """The model's reply to a question; times in seconds from the start of the video file."""

    completion: str
    answer: str | None
    option: int | None
    outcome: str
    probabilities: list[float] | None
    keyframe_seconds: list[float] | None
    frame_seconds: list[float]
    picture: str


@dataclass(frozen=True)
class Query:
    """A question about a span of a video; without options it is open-ended."""

    span: Span
    question: str
    options: tuple[str, ...]

    def __post_init__(self) -> None:
        from pipeline.records import LETTERS

        if not self.question.strip():
            raise ParamsError("the question is empty")
        if len(self.options) == 1 or len(self.options) > len(LETTERS):
            raise ParamsError(
                f"found {len(self.options)} options: give none (for an open question) or 2 to {len(LETTERS)}"
            )
        if any(not option.strip() for option in self.options):
            raise ParamsError("an option is empty")
        if len({option.strip().casefold() for option in self.options}) < len(self.options):
            raise ParamsError("two options are the same")


def ask(
    video: VideoPath,
    question: Annotated[str, typer.Argument(help="What you want to know.", show_default=False)],
    option: Annotated[
        list[str] | None, typer.Option(help="A possible answer; give 2 to 5, or none for an open question.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="A from_pretrained folder of a known family; default: the checkout's policy.")
    ] = None,
    start: Start = 0.0,
    end: End = None,
    out: OutPath = None,
    params: Annotated[
        Path | None,
        typer.Option("--params", help="A params.yaml to use; default: what the model was trained with."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the trained model about a video of your own.

    Prints its reasoning as it is generated, then its answer and the probability of each option. The frames it saw
    are written as a picture, with a border around those nearest to the key times it names. Prompt and frames are
    those of training, unless --params says otherwise.

    \b
    Examples:
      egovlm ask kitchen.mp4 "Which object is taken?" --option "the cup" --option "the plate"
      egovlm ask kitchen.mp4 "What happens?" --start 10 --end 40 --json
    """
    query = Query(open_span(video, start, end), question, tuple(option or ()))
    folder = model or checkout() / POLICY
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no model: `make run` trains one, or name another folder with --model")
    settings = trained_with(folder) if params is None else find_params(params)
    picture = out or Path(f"{video.stem}.answer.jpg")
    reply = answer(query, str(folder), settings or find_params(None), picture, stream=not as_json)
    emit(asdict(reply), _text(reply, query.options), as_json)


def trained_with(model: Path) -> Any:
    """The params sections that asking needs, as the policy was trained with them (`training.json` in its folder).
    None if the folder does not say.

    Raises:
        ParamsError: they belong to another version of egovlm.
    """
    from pydantic import BaseModel, ValidationError

    from pipeline.params import EvaluateEgoschema, ExtractFrames, Prompts

    wanted: dict[str, type[BaseModel]] = {
        "prompts": Prompts,
        "extract_frames": ExtractFrames,
        "evaluate_egoschema": EvaluateEgoschema,
    }
    try:
        made = json.loads((model / "training.json").read_text(encoding="utf-8"))["params"]
        return SimpleNamespace(**{name: section.model_validate(made[name]) for name, section in wanted.items()})
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
        raise ParamsError(
            f"{model / 'training.json'} does not fit this version of egovlm ({error.title}: {keys}): "
            "name the params it was trained with, using --params"
        ) from error
    except (OSError, ValueError, KeyError, TypeError):
        return None


def answer(query: Query, model: str, params: Any, picture: Path, stream: bool) -> Reply:
    """Ask the question and parse the reply; `stream` prints the completion as it is generated.

    Raises:
        ItemError: the video is unusable, or the prompt is longer than the model's context.
        ModelError: the model cannot be loaded.
    """
    from pipeline.answers.keyframes import parse_keyframes
    from pipeline.answers.parser import parse_answer

    with waiting("loading torch, transformers and the model ..."):
        frames = sample_frames(query.span, params)
        policy = _load(model, params)
    completion = _complete(policy, _messages(query, frames, params.prompts.reasoning), frames, params, stream)
    parsed = parse_answer(completion, query.options) if query.options else None
    named = parse_keyframes(completion)
    seconds = None if named is None else [round(t + query.span.start_seconds, 3) for t in named]
    _save_picture(frames, seconds or [], picture)
    option = None if parsed is None else parsed.option
    return Reply(
        completion=completion,
        answer=_said(completion) if option is None else query.options[option],
        option=option,
        outcome="open" if parsed is None else str(parsed.outcome.value),
        probabilities=_likelihoods(policy, query, frames, params) if query.options else None,
        keyframe_seconds=seconds,
        frame_seconds=[round(float(t), 3) for t in frames.pts_seconds],
        picture=str(picture),
    )


def _import_models() -> None:
    """Import torch and transformers with garbage collection off, which saves a seventh of a cold start."""
    gc.disable()
    try:
        import pipeline.models.likelihood
        import pipeline.models.policy  # noqa: F401
    finally:
        gc.enable()


def _load(model: str, params: Any) -> Any:
    """The policy: on the GPU if there is one, in the precision it is evaluated in; else on the CPU in full
    precision."""
    _import_models()
    import torch
    from transformers.utils.logging import disable_progress_bar

    from pipeline.models.policy import load_policy

    disable_progress_bar()  # type: ignore[no-untyped-call]  # of loading weights: the reasoning is what should be seen
    if not torch.cuda.is_available():
        return load_policy(model)
    return load_policy(model, device="cuda", dtype=getattr(torch, params.evaluate_egoschema.dtype))


def _messages(query: Query, frames: Any, template: str) -> list[dict[str, Any]]:
    from pipeline.answers.prompts import build_messages, fill

    span = query.span
    text = fill(
        template, query.question, query.options, frames.pts_seconds.tolist(), span.start_seconds, span.end_seconds
    )
    return build_messages(text, "clip", span.start_seconds)


def _complete(policy: Any, messages: list[dict[str, Any]], frames: Any, params: Any, stream: bool) -> str:
    """Greedy decoding with the library's own `generate`, which can stream."""
    import torch
    from transformers import TextStreamer

    from pipeline.models.inputs import encode_prompts

    inputs = encode_prompts(policy, [messages], {"clip": frames}).to(policy.device)
    with torch.no_grad():
        ids = policy.model.generate(
            **inputs.forward_kwargs(),
            do_sample=False,
            max_new_tokens=params.evaluate_egoschema.max_new_tokens,
            suppress_tokens=list(policy.suppressed_token_ids),
            eos_token_id=list(policy.eos_token_ids),
            pad_token_id=policy.pad_token_id,
            streamer=TextStreamer(policy.tokenizer, skip_prompt=True, skip_special_tokens=True) if stream else None,
        )
    new = ids[0, inputs.input_ids.shape[1] :]
    return str(policy.tokenizer.decode(new, skip_special_tokens=True))


def _likelihoods(policy: Any, query: Query, frames: Any, params: Any) -> list[float]:
    """Probability of each option under the direct prompt, as evaluate_egoschema scores it."""
    from pipeline.answers.thinking import ANSWER
    from pipeline.models.likelihood import continuation_log_probabilities
    from pipeline.records import LETTERS

    texts = [ANSWER.replace("{letter}", LETTERS[i]) for i in range(len(query.options))]
    messages = _messages(query, frames, params.prompts.direct)
    scores = continuation_log_probabilities(policy, [messages], {"clip": frames}, [texts])[0]
    shares = [math.exp(score - max(scores)) for score in scores]
    return [round(share / sum(shares), 4) for share in shares]


def _said(completion: str) -> str | None:
    """The content of the last answer tag of an open answer."""
    _, found, rest = completion.rpartition("<answer>")
    return rest.partition("</answer>")[0].strip() or None if found else None


def _save_picture(frames: Any, seconds: Sequence[float], path: Path) -> None:
    from pipeline.pictures.sheets import frames_sheet, save_sheet

    times = frames.pts_seconds.tolist()
    marked = {min(range(len(times)), key=lambda i: abs(times[i] - t)) for t in seconds}
    save_sheet(frames_sheet(list(frames.images), [f"{t:.2f} s" for t in times], "", marked, 6, 200), path)


def _text(reply: Reply, options: Sequence[str]) -> str:
    from pipeline.records import LETTERS

    letter = "" if reply.option is None else f"{LETTERS[reply.option]}, "
    doubt = f" ({reply.outcome})" if options and reply.option is None else ""
    lines = [f"answer: {letter}{reply.answer or 'none that could be parsed'}{doubt}"]
    shares = reply.probabilities or []
    lines += [f"  {LETTERS[i]} {100 * p:5.1f} %  {o}" for i, (p, o) in enumerate(zip(shares, options, strict=False))]
    times = reply.keyframe_seconds
    lines.append("keyframes named: " + (", ".join(f"{t:.1f} s" for t in times) if times else "none"))
    return "\n".join([*lines, f"frames seen: {reply.picture}"])


def register(app: typer.Typer) -> None:
    """Add `ask` to the command."""
    app.command()(ask)
