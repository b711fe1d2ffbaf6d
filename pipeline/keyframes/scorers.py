"""The plug-in point: `mine_keyframes.signal` is a name of `SIGNALS` or `package.module:function`.

A scorer takes the views of a clip and the questions asked about it and returns `float64 [T]`, larger where a frame is
more worth asking about: a CLIP or SigLIP model by question fits, and so does the example in `examples.py`.
"""

import importlib
from collections.abc import Callable, Sequence

from pipeline.errors import ParamsError
from pipeline.keyframes.signals import SIGNALS
from pipeline.keyframes.views import Floats, Views

Scorer = Callable[[Views, Sequence[str]], Floats]


def load_scorer(name: str) -> Scorer:
    """The scorer called `name`; its result is checked at each call.

    Raises:
        ParamsError: there is none of that name.
    """
    if name in SIGNALS:
        signal = SIGNALS[name]
        return lambda views, questions: signal(views)
    module, _, function = name.partition(":")
    try:
        scorer: Scorer = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(SIGNALS)
        raise ParamsError(f"mine_keyframes.signal: no {name!r} ({error}); use {known} or module:function") from error
    return _checked(scorer, name)


def _checked(scorer: Scorer, name: str) -> Scorer:
    def call(views: Views, questions: Sequence[str]) -> Floats:
        values = scorer(views, questions)
        if values.shape != (len(views),):
            raise ValueError(f"scorer {name} must return [{len(views)}], not {values.shape}")
        return values

    return call
