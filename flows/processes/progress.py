"""Progress bars of stages (tqdm's lines) parsed into numbers."""

import re
import time
from dataclasses import dataclass

_BAR = re.compile(r"^(?:(?P<what>.*?): +)? *(?P<percent>\d{1,3})%\|.*?\| *(?P<count>\S+/\S+) \[(?P<time>[^\]]*)\]")


@dataclass(frozen=True)
class Progress:
    """One reading of a bar: `percent` 0-100, `text` such as `frames 12/340, 00:10 gone, 00:50 to go`."""

    percent: float
    text: str


def read_progress(line: str) -> Progress | None:
    """A tqdm line as a reading; None if the line is something else."""
    match = _BAR.match(line)
    if match is None:
        return None
    gone, _, rest = match["time"].partition("<")
    to_go = rest.partition(",")[0]
    text = f"{match['what'] or ''} {match['count']}, {gone} gone" + (f", {to_go} to go" if to_go else "")
    return Progress(min(float(match["percent"]), 100.0), text.strip())


class Throttle:
    """Allows something at most once every `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last = -seconds

    def ready(self) -> bool:
        """Whether it is time again; if so, the clock restarts."""
        now = time.monotonic()
        if now - self._last < self.seconds:
            return False
        self._last = now
        return True
