"""Which positions of a row TRL's fused head scores.

On a card it scores those that have a label. Elsewhere it scores every position, since some accelerators compile for
each shape. With a vocabulary of 151,936 a CPU then spends most of a training step on prompts that nobody asks about.
Small vocabularies are left as they are: there is nothing to gain, and sums keep their order.
"""

from trl.trainer import utils

LARGE = 10_000


def score_labels_alone(vocabulary: int) -> None:
    """Let the fused head of a model with a large vocabulary score the positions that have a label, on every device."""
    if vocabulary >= LARGE:
        utils._use_triton = lambda device: True  # read by the head alone; the kernels have a name of their own
