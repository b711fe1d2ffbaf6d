"""What can go wrong with an engine, by name: what another try can fix is `Lost`, all else stops with one line."""

import re
from pathlib import Path

from pipeline.errors import ModelError

_LOG_BYTES = 60_000
# The second form is the line below a validation error of pydantic's, which itself says nothing.
_ERROR = re.compile(r"(?:^|\s)((?:[A-Za-z_.]*(?:Error|Exception|Exit): |Value error, ).*)$")
_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|No available memory|DefaultCPUAllocator|less than desired GPU memory"
    r"|less than requested memory for kv"
)
_PORT = re.compile(r"address already in use", re.IGNORECASE)


class Lost(Exception):
    """The engine died, hangs or never had its port; a new one with the same weights can take over."""


class RefusedByEngine(ModelError):
    """The engine is there and says no: asking again would change nothing."""


def refusal(log: Path, what: str) -> Exception:
    """Why an engine ended, from its log: `Lost` where another start helps, else a `ModelError` with what to do."""
    text = log_end(log)
    if _PORT.search(text):
        return Lost("its port was taken by another program meanwhile")
    if _MEMORY.search(text):
        return ModelError(
            f"{what}: out of memory ({log}). Lower machine.engine.max_model_len, on a CPU cpu_cache_gigabytes; "
            "on a GPU that training shares lower gpu_memory_utilization, or raise it if the "
            "engine finds no room for its cache"
        )
    return ModelError(f"{what}: {last_error(text)} (all of it: {log})")


def log_end(log: Path) -> str:
    """The end of a log, "" if there is none."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_BYTES))
        return file.read().decode(errors="replace")


def last_error(text: str) -> str:
    """The last exception that a log names, in one line."""
    found = [match[1] for line in text.splitlines() if (match := _ERROR.search(line))]
    causes = [line for line in found if "See root cause" not in line and "EngineCore initialization" not in line]
    chosen = (causes or found or ["no error in its log"])[-1]
    return chosen[:300]
