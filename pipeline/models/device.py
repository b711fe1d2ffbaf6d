"""Where a model runs, and in which precision its weights are held there."""

import torch

from pipeline.errors import ParamsError
from pipeline.params import Machine
from pipeline.train_params import TrainGrpo


def resolve_device(machine: Machine) -> str:
    """`cpu` or `cuda`.

    Raises:
        ParamsError: cuda is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if machine.device == "cuda" and not available:
        raise ParamsError("machine.device is cuda, but torch sees no CUDA device: use auto, or install a CUDA build")
    return "cuda" if available and machine.device != "cpu" else "cpu"


def weights_dtype(settings: TrainGrpo) -> torch.dtype:
    """Precision that the model is loaded in: float32 if its weights are trained, for Adam's steps are smaller than
    bfloat16 can tell; bfloat16 if nothing is updated in it (LoRA's base; the adapter is in float32) or the optimizer
    rounds by chance."""
    half = settings.weights == "bfloat16" or (settings.lora is not None and settings.dtype == "bfloat16")
    return torch.bfloat16 if half else torch.float32
