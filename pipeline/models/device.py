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
    """float32 for weights that are trained: Adam's steps are smaller than bfloat16 can tell. Under a LoRA adapter
    (float32 itself) the base only computes, so its weights are held in the precision that it computes in."""
    frozen = settings.lora is not None and settings.dtype == "bfloat16"
    return torch.bfloat16 if frozen else torch.float32
