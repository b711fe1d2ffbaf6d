"""The chat template of a model's folder, which must put a video into the prompt."""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError

_TAGS = ("think", "keyframes", "answer")
_PROBE = [{"role": "user", "content": [{"type": "video", "video": "clip"}, {"type": "text", "text": "what"}]}]


def adopt_processor_template(tokenizer: Any, folder: Path) -> None:
    """Use the template of `chat_template.json`, the processor's file, if the tokenizer has none that accepts a video.

    Older versions of `processor.save_pretrained` write the vision template only there; the tokenizer then has none,
    or one for text only.
    """
    path = folder / "chat_template.json"
    if not path.is_file() or _places(tokenizer) == 1:
        return
    try:
        template = json.loads(path.read_text(encoding="utf-8"))["chat_template"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} has no chat_template: {type(error).__name__}: {error}") from error
    tokenizer.chat_template = template


def check_chat(tokenizer: Any, folder: str) -> None:
    """Check that a video reaches the prompt, and that the tags that rewards read survive decoding.

    Raises:
        ModelError: one of these fails.
    """
    if not tokenizer.chat_template:
        files = "chat_template.jinja, chat_template.json, or in tokenizer_config.json"
        raise ModelError(f"{folder}: the tokenizer has no chat template ({files})")
    if _places(tokenizer) != 1:
        raise ModelError(
            f"{folder}: the chat template must write exactly one <|video_pad|> for a video, but writes "
            f"{_shown(tokenizer)}"
        )
    for tag in _TAGS:
        text = f"<{tag}></{tag}>"
        read = tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"], skip_special_tokens=True)
        if "".join(str(read).split()) != text:
            raise ModelError(f"{folder}: the tokenizer decodes {text} to {read!r}: its tags must be ordinary tokens")


def _places(tokenizer: Any) -> int:
    """How many video placeholders the template writes for one video."""
    return _shown(tokenizer).count("<|video_pad|>") if tokenizer.chat_template else 0


def _shown(tokenizer: Any) -> str:
    """The template's output for a video and a text, or the error that it raises: it is foreign code (jinja)."""
    try:
        return repr(str(tokenizer.apply_chat_template(_PROBE, tokenize=False, add_generation_prompt=True)))
    except Exception as error:  # a text-only template adds a list to a string
        return f"{type(error).__name__}: {error}"
