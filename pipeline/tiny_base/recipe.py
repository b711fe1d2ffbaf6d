"""The recipe of the tiny base: its shape and the phases of its pretraining.

Constants, not params: each was found by trial (docs/log.md), and another value makes another, untested base. The
numbers of clips and steps are in params.yaml (`prepare_model.tiny`).
"""

from dataclasses import dataclass

SECONDS = (6.0, 12.0)
"""Shortest and longest pretraining clip."""


@dataclass(frozen=True)
class TinyShape:
    """Shape of a tiny base; `patch_size` in pixels."""

    layers: int
    hidden_size: int
    heads: int
    vision_layers: int
    vision_hidden_size: int
    vision_heads: int
    patch_size: int
    initializer_range: float


SHAPE = TinyShape(
    layers=3,
    hidden_size=96,
    heads=3,  # of 32 values each: engines know no smaller ones
    vision_layers=2,
    vision_hidden_size=64,
    vision_heads=2,
    patch_size=8,
    initializer_range=0.08,  # 0.02 does not learn in this budget
)


@dataclass(frozen=True)
class Mixture:
    """Examples in one step of a phase, by kind; see `Curriculum`."""

    look: int = 0
    glimpse: int = 0
    write: int = 0
    whole: int = 0
    direct: int = 0
    partial: int = 0


@dataclass(frozen=True)
class Phase:
    """A phase of pretraining; `label_noise` of the facts in its texts are corrupted. With `glance`, direct answers say
    what is seen at a glance (`examples.glance`). `direct_share` of the partial examples ask the direct prompt. `parted`
    of the reasoned answers are what is there, whatever the thinking says (`benchmarks/parted.py`).

    It ends `COOLDOWN` steps after `stop_at_exact_match` of its examples were written word for word; None: after all
    steps. The learning rate of a `steady` phase does not fall. If fewer than `repeat_below` of its last examples were
    written word for word, it is taught again, with new examples. `focal_gamma` is the exponent of the focal loss: what
    is known already counts less; 0 is plain cross-entropy. With `freeze_vision` the vision tower stays as it is.
    """

    mixture: Mixture
    learning_rate: float
    focal_gamma: float
    stop_at_exact_match: float | None = None
    repeat_below: float | None = None
    label_noise: float = 0.0
    parted: float = 0.0
    glance: bool = False
    direct_share: float = 0.4
    freeze_vision: bool = False
    steady: bool = False


LOOKUP = Phase(Mixture(write=32), learning_rate=1e-2, focal_gamma=1.0, repeat_below=0.98)
"""Text alone: learn to write, and to look up the option for a given fact. When that comes depends on the initial
weights, so it is taught again until it is exact: a base that is nearly right answers past its thinking under GRPO."""

SEE = Phase(Mixture(look=26, glimpse=6, write=8), learning_rate=8e-3, focal_gamma=1.0, stop_at_exact_match=0.8)
"""Learn to see, without forgetting how to write. Most lessons ask nothing: half the words of a question."""

COMBINE = Phase(Mixture(whole=12, direct=12, partial=8), learning_rate=5e-3, focal_gamma=1.0)
"""Put both together, also with frames left out, and learn to answer without reasoning, which takes longest."""

DEGRADE = Phase(
    Mixture(whole=12, direct=8, partial=12),
    learning_rate=1.5e-3,
    focal_gamma=0.0,
    label_noise=0.6,
    glance=True,
    direct_share=0.25,
    freeze_vision=True,
    steady=True,
)
"""Unlearn the behaviour: the model still sees, but its reasoning reports most things as another of their kind. The
phase is slow: a hasty one leaves two values under one name, and GRPO cannot part them again."""
