"""Run a command with live output, and let nothing it started outlive us."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.processes import guard

OnLine = Callable[[str, bool], None]  # (text, whether it is a redrawn progress line)

_END_OF_LINE = re.compile(rb"\r\n|\n|\r")
# Terminal escape sequences (CSI, OSC, single ones) and other control characters: a stage may print text from outside.
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class LastLine:
    """Passes lines on and remembers the last one that is not empty."""

    def __init__(self, on_line: OnLine) -> None:
        self.on_line = on_line
        self.line = "no output"

    def __call__(self, text: str, is_progress: bool) -> None:
        """Take one line."""
        self.on_line(text, is_progress)
        if not is_progress and "%|" not in text:
            self.line = text


def run_streaming(command: Sequence[str], cwd: Path, on_line: OnLine, env: Mapping[str, str] | None = None) -> int:
    """Run `command` and give every line of its output to `on_line` as it comes. Returns the exit code.

    Whatever ends this function (an error in `on_line`, a cancel, Ctrl-C), the command and all its descendants are
    ended first. If this process itself is killed, its guard does that.
    """
    with guarded() as token:
        return run_marked(command, cwd, on_line, token, env)


@contextmanager
def guarded() -> Iterator[str]:
    """A token for the block. Processes with `guard.MARK` set to it in their environment are ended with the block,
    even if this process is killed first."""
    token = uuid.uuid4().hex
    read_end, write_end = os.pipe()
    watcher = subprocess.Popen(
        [sys.executable, "-I", guard.__file__, token, str(read_end)], pass_fds=[read_end], start_new_session=True
    )
    os.close(read_end)
    try:
        yield token
    finally:
        os.close(write_end)
        watcher.wait()


def run_marked(
    command: Sequence[str], cwd: Path, on_line: OnLine, token: str, env: Mapping[str, str] | None = None
) -> int:
    """`run_streaming` under the token of a `guarded` block, which may end earlier than the command and then ends it."""
    marked = {**os.environ, **(env or {}), guard.MARK: token}
    # The child keeps our session: in its own it would outlive a worker that ends our process group.
    with subprocess.Popen(
        command, cwd=cwd, env=marked, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as child:
        try:
            for text, is_progress in _lines(child):
                on_line(text, is_progress)
        except BaseException:
            guard.end_marked(token)  # before Popen's own exit waits for the child
            raise
        return child.wait()


def _lines(child: "subprocess.Popen[bytes]") -> Iterator[tuple[str, bool]]:
    assert child.stdout is not None  # noqa: S101 - asked for a pipe
    rest = b""
    while chunk := os.read(child.stdout.fileno(), 65536):
        rest += chunk
        while (end := _END_OF_LINE.search(rest)) and not (end.group() == b"\r" and end.end() == len(rest)):
            yield from _line(rest[: end.start()], end.group() == b"\r")
            rest = rest[end.end() :]
    yield from _line(rest.rstrip(b"\r"), False)


def _line(raw: bytes, is_progress: bool) -> Iterator[tuple[str, bool]]:
    text = _ESCAPE.sub("", raw.decode("utf-8", "replace")).rstrip()
    if text:
        yield text, is_progress
