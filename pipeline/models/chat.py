"""The chat template of a model's folder: a video has to reach the prompt through it."""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError

_TAGS = ("think", "keyframes", "answer")
_PROBE = [{"role": "user", "content": [{"type": "video", "video": "clip"}, {"type": "text", "text": "what"}]}]


def adopt_processor_template(tokenizer: Any, folder: Path) -> None:
    """Take the template of `chat_template.json`, the processor's file, if the tokenizer has none that takes a video.

    Older `processor.save_pretrained` writes the template for vision there alone, beside a tokenizer with none or with
    one for text.
    """
    path = folder / "chat_template.json"
    if not path.is_file() or _places(tokenizer) == 1:
        return
    try:
        template = json.loads(path.read_text(encoding="utf-8"))["chat_template"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} holds no chat_template: {type(error).__name__}: {error}") from error
    tokenizer.chat_template = template


def check_chat(tokenizer: Any, folder: str) -> None:
    """A video has to reach the prompt, and the tags that rewards read have to survive decoding.

    Raises:
        ModelError: one does not.
    """
    if not tokenizer.chat_template:
        files = "chat_template.jinja, chat_template.json, or in tokenizer_config.json"
        raise ModelError(f"{folder}: the tokenizer has no chat template ({files})")
    if _places(tokenizer) != 1:
        raise ModelError(
            f"{folder}: the chat template writes no single <|video_pad|> for a video, but {_shown(tokenizer)}"
        )
    for tag in _TAGS:
        text = f"<{tag}></{tag}>"
        read = tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"], skip_special_tokens=True)
        if "".join(str(read).split()) != text:
            raise ModelError(f"{folder}: the tokenizer reads {text} back as {read!r}: its tags must be ordinary tokens")


def _places(tokenizer: Any) -> int:
    """How many places for a video the template writes for one."""
    return _shown(tokenizer).count("<|video_pad|>") if tokenizer.chat_template else 0


def _shown(tokenizer: Any) -> str:
    """What the template makes of a video and a text, or the error that it raises: it is foreign code (jinja)."""
    try:
        return repr(str(tokenizer.apply_chat_template(_PROBE, tokenize=False, add_generation_prompt=True)))
    except Exception as error:  # a template for text adds a list to a string
        return f"{type(error).__name__}: {error}"
