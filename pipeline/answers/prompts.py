"""Turn questions into chat messages.

The texts are params (`prompts.reasoning`, `prompts.direct`); training and evaluation share them. A message carries a
clip's id, never its frames.
"""

import re
from collections.abc import Sequence
from typing import Any

from pipeline.records import LETTERS

# `<|...|>` and tags that are one token for Qwen's tokenizers or that the parser reads, matched as loosely as it does.
_CONTROL = re.compile(
    r"<\|([^|<>]*)\|>|<\s{0,4}/?\s{0,4}(think|answer|keyframes|tool_call|tool_response)\s{0,4}>", re.IGNORECASE
)


def escape_control_tokens(text: str) -> str:
    """Foreign text without anything that a tokenizer or the parser would read as control (`<|im_start|>`,
    `</think>`)."""
    return _CONTROL.sub(lambda match: f"[{match.group(1) or match.group(2) or ''}]", text)


def format_times(pts_seconds: Sequence[float], start_seconds: float) -> str:
    """Frame times in seconds from the start of the clip, one decimal: `0.5, 1.5, 2.5`."""
    return ", ".join(f"{t - start_seconds:.1f}" for t in pts_seconds)


def format_options(options: Sequence[str]) -> str:
    """One option per line: `A. first`."""
    return "\n".join(f"{LETTERS[i]}. {escape_control_tokens(option)}" for i, option in enumerate(options))


def fill(
    template: str, question: str, options: Sequence[str], pts_seconds: Sequence[float], start: float, end: float
) -> str:
    """Fill a prompt template; braces in the question are left as they are."""
    values = {
        "question": escape_control_tokens(question),
        "options": format_options(options),
        "times": format_times(pts_seconds, start),
        "duration": f"{end - start:.1f}",
    }
    return re.sub(r"\{(question|options|times|duration)\}", lambda match: values[match.group(1)], template).strip()


def build_messages(text: str, clip_id: str | None, start_seconds: float = 0.0) -> list[dict[str, Any]]:
    """A user turn: the clip (by id; None for a blind prompt) and then the text. The clip's clock starts at
    `start_seconds` of its file, as in `fill`: some families write the seconds of frames into the prompt."""
    video = {"type": "video", "video": clip_id, "start_seconds": start_seconds}
    content: list[dict[str, Any]] = [] if clip_id is None else [video]
    return [{"role": "user", "content": [*content, {"type": "text", "text": text}]}]
