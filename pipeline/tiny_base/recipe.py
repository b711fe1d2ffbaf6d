"""The recipe of the tiny base: its shape and the phases of its pretraining.

Constants, not params: each was found by trial (docs/log.md), and another value makes another, untested base. The
numbers of clips and steps are in params.yaml (`prepare_model.tiny`).
"""

from dataclasses import dataclass

SECONDS = (6.0, 12.0)
"""Shortest and longest pretraining clip."""


@dataclass(frozen=True)
class TinyShape:
    """Shape of a tiny Qwen2.5-VL; `patch_size` in pixels."""

    layers: int
    hidden_size: int
    heads: int
    vision_layers: int
    vision_hidden_size: int
    patch_size: int
    initializer_range: float


SHAPE = TinyShape(
    layers=3,
    hidden_size=96,
    heads=4,
    vision_layers=2,
    vision_hidden_size=48,
    patch_size=8,
    initializer_range=0.08,  # 0.02 does not learn in this budget
)


@dataclass(frozen=True)
class Mixture:
    """Examples in one step of a phase, by kind; see `Curriculum`."""

    see: int = 0
    write: int = 0
    whole: int = 0


@dataclass(frozen=True)
class Phase:
    """A phase of pretraining; `label_noise` of the facts in its texts are corrupted.

    It ends `COOLDOWN` steps after `stop_at_exact_match` of its examples were written word for word, or when greedy
    accuracy on held-out clips has fallen to `stop_at_accuracy`; both None: after all steps. `focal_gamma` is the
    exponent of the focal loss: what is known already counts less; 0 is plain cross-entropy.
    """

    mixture: Mixture
    learning_rate: float
    focal_gamma: float
    stop_at_exact_match: float | None = None
    stop_at_accuracy: float | None = None
    label_noise: float = 0.0


LOOKUP = Phase(Mixture(write=32), learning_rate=1e-2, focal_gamma=1.0)
"""Text alone: learn to write, and to look up the option for a given fact."""

SEE = Phase(Mixture(see=32, write=8), learning_rate=8e-3, focal_gamma=1.0, stop_at_exact_match=0.8)
"""Learn to see, without forgetting how to write."""

COMBINE = Phase(Mixture(whole=32), learning_rate=5e-3, focal_gamma=2.0, stop_at_exact_match=0.8)
"""Put both together."""

DEGRADE = Phase(Mixture(whole=32), learning_rate=1.5e-3, focal_gamma=0.0, stop_at_accuracy=0.35, label_noise=0.6)
"""Unlearn the behaviour: the model still sees, but reports most things as the next of their kind."""
