"""Where a model runs."""

import torch

from pipeline.errors import ParamsError
from pipeline.params import Machine


def resolve_device(machine: Machine) -> str:
    """`cpu` or `cuda`.

    Raises:
        ParamsError: cuda is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if machine.device == "cuda" and not available:
        raise ParamsError("machine.device is cuda, but torch sees no CUDA device: use auto, or install a CUDA build")
    return "cuda" if available and machine.device != "cpu" else "cpu"
