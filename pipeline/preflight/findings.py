"""What a check of machine, files and params found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "info", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line: what was checked, what was found, what to do about it ("" if nothing).

    `stages` are those that would fail; `is_of_machine` says whether another machine could run them.
    """

    name: str
    state: State
    found: str
    mend: str = ""
    stages: tuple[str, ...] = ()
    is_of_machine: bool = False
