"""The plug-in point: `mine_keyframes.signal` is a name of `SIGNALS` or `package.module:function`.

A scorer takes the views of a clip and the questions asked about it. It returns `float64 [T]`, larger for frames that
are more worth asking about. A CLIP or SigLIP model that compares frames with questions fits, and so does `examples.py`.
"""

import hashlib
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import ParamsError
from pipeline.keyframes.signals import SIGNALS
from pipeline.keyframes.views import Floats, Views

Scorer = Callable[[Views, Sequence[str]], Floats]


def check_scorer(name: str, plugins: Mapping[str, str]) -> None:
    """Refuse a name that does not exist, or whose package `mine_keyframes.plugins` does not pin.

    Raises:
        ParamsError: see `Registry.check`.
    """
    if ":" in name:
        load_scorer(name)
    else:
        SIGNALS.check([name], "mine_keyframes.signal", plugins)


def load_scorer(name: str) -> Scorer:
    """The scorer called `name`; its result is checked at each call.

    Raises:
        ParamsError: there is no scorer of that name.
    """
    if ":" not in name:
        signal = SIGNALS[name]
        return _checked(lambda views, questions: signal(views), name)
    return _checked(_function(name), name)


def _function(name: str) -> Scorer:
    module, _, function = name.partition(":")
    try:
        scorer: Scorer = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(SIGNALS)
        raise ParamsError(f"mine_keyframes.signal: no {name!r} ({error}); use {known} or module:function") from error
    return scorer


def code_of(name: str) -> str | None:
    """The part of each clip's key that identifies foreign code: a file's digest for `module:function`, or a
    package's version. None for our own signals, which have `FORMAT`."""
    if ":" in name:
        file = inspect.getsourcefile(_function(name))
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    package = SIGNALS.package_of(name)
    return None if package is None else " ".join(package)


def _checked(scorer: Scorer, name: str) -> Scorer:
    def call(views: Views, questions: Sequence[str]) -> Floats:
        values = scorer(views, questions)
        if values.shape != (len(views),):
            raise ValueError(f"scorer {name} must return [{len(views)}], not {values.shape}")
        return values

    return call
