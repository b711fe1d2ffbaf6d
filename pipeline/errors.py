"""Every error egovlm raises on purpose.

    EgovlmError              the root: one line that a user can act on (expected, found, what to do)
    ├── ParamsError          params.yaml or an overlay is wrong
    ├── ItemError            one item is bad: it is quarantined with `reason` and counted; the stage continues
    ├── StageError           a stage cannot continue
    │   ├── TooManyBadItems  more than max_bad_fraction of the items were quarantined
    │   ├── EmptyInput       nothing to work on
    │   └── GateError        a critical check failed
    ├── ArtifactError        a file between stages is missing, damaged or of another version
    └── ModelError           model, tokenizer or checkpoint do not fit

Which one to raise:
* the user's configuration is wrong: ParamsError;
* one row or file of foreign data is bad: ItemError;
* the whole input is unusable: StageError;
* our own product is damaged: ArtifactError.

A bug is not an EgovlmError: let it raise. If it shows on one item of foreign data, that item is quarantined as
`unexpected` (see `unexpected`). More than `MOST_UNEXPECTED` of them stop the stage.
"""

import traceback
from pathlib import Path


class EgovlmError(Exception):
    """Root of all errors raised on purpose. `str(error)` is one line (or a short list) that a user can act on."""


class ParamsError(EgovlmError):
    """params.yaml has an unknown key, a wrong type or a value out of range."""


class ItemError(EgovlmError):
    """One item is unusable.

    Args:
        reason: short stable name from a small set, counted in reports (`missing_file`, `no_video_stream` ...).
        detail: free text for a person.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["ItemError"], tuple[str, str]]:
        return (type(self), (self.reason, self.detail))  # survives the trip back from a worker process


UNEXPECTED = "unexpected"
"""The reason for an item that failed in a way no code expected."""

MOST_UNEXPECTED = 3  # per kind of work; one odd file does not end a stage of hours, a bug that hits all items does


def unexpected(error: Exception) -> ItemError:
    """An `ItemError` for an exception that no code expected: its message and its traceback, innermost call first."""
    calls = [
        f"{Path(call.filename).name}:{call.lineno} {call.name}" for call in traceback.extract_tb(error.__traceback__)
    ]
    said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return ItemError(UNEXPECTED, f"{said} (at {' < '.join(calls[:-9:-1])})")


class StageError(EgovlmError):
    """A stage cannot continue."""


class TooManyBadItems(StageError):
    """More items were quarantined than `max_bad_fraction` allows."""


class EmptyInput(StageError):
    """A stage found nothing to work on."""


class GateError(StageError):
    """A critical dataset check failed."""


class ArtifactError(EgovlmError):
    """A product of an earlier stage is missing, damaged or of another version."""


class ModelError(EgovlmError):
    """Model, tokenizer or checkpoint do not fit together, or cannot be loaded."""
