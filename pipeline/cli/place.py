"""Where a command finds the checkout: $EGOVLM_PROJECT, else the working directory."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ParamsError

if TYPE_CHECKING:
    from pipeline.params import Params


def checkout() -> Path:
    """The folder that the commands treat as the checkout; it may not be one."""
    return Path(os.environ.get("EGOVLM_PROJECT") or ".")


def find_params(given: Path | None) -> "Params":
    """The params file named by the user, else the checkout's.

    Raises:
        ParamsError: there is none, or it is invalid.
    """
    from pipeline.params import load_params  # takes a third of a second, too long for --help

    path = given or checkout() / "params.yaml"
    if given is None and not path.is_file():
        raise ParamsError(
            f"no params.yaml in {checkout().resolve()}: run this in a checkout of egovlm, set EGOVLM_PROJECT to one, "
            "or name a file with --params"
        )
    return load_params(path)
