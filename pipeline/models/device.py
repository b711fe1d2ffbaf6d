"""Where a model runs, and the precision of its weights there."""

import torch

from pipeline.errors import ParamsError
from pipeline.params import Machine
from pipeline.train_params import TrainGrpo


def resolve_device(machine: Machine) -> str:
    """`cpu` or `cuda`.

    Raises:
        ParamsError: cuda is requested but there is none.
    """
    available = torch.cuda.is_available()
    if machine.device == "cuda" and not available:
        raise ParamsError("machine.device is cuda, but torch sees no CUDA device: use auto, or install a CUDA build")
    return "cuda" if available and machine.device != "cpu" else "cpu"


def weights_dtype(settings: TrainGrpo) -> torch.dtype:
    """The precision in which the model is loaded. It is float32 if its weights are trained, because Adam's steps are
    smaller than bfloat16 can resolve. It is bfloat16 if its weights are not updated (LoRA's base; the adapter is in
    float32), or if the optimizer rounds stochastically."""
    half = settings.weights == "bfloat16" or (settings.lora is not None and settings.dtype == "bfloat16")
    return torch.bfloat16 if half else torch.float32
