"""Every error of DVC, git and GTO that a user can cause, as one line with the next step. The one place that does it.

Their exceptions are many and undocumented, so they are told by the library they come from; the hint goes by the name
of the class or its bases. What is not theirs is a bug and passes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from pipeline.errors import EgovlmError, StageError

P = ParamSpec("P")
R = TypeVar("R")

LIBRARIES = ("dvc", "dvc_data", "dvc_objects", "dvc_render", "dvc_studio_client", "scmrepo", "gto", "dulwich", "pygit2",
             "git", "_pygit2")  # fmt: skip

_LOCK_FILE = (
    "take one side of a merge (`git checkout --ours dvc.lock`) or the last commit's (`git checkout HEAD dvc.lock`), "
    "then run again: what it does not describe is made anew"
)
NO_GIT = "experiments and promotion are git commits and tags: `git init && git add -A && git commit -m start`"
_HINTS = {
    "LockError": "another DVC command is at work in this checkout: let it end, then run this again",
    "RWLockFileCorruptedError": "a power cut or a full disk tore it: remove it while no DVC command is at work",
    "RWLockFileFormatError": "a power cut or a full disk tore it: remove it while no DVC command is at work",
    "SCMError": NO_GIT,
    "NoSCMError": NO_GIT,
    "NotDvcRepoError": "`dvc init` makes one, `egovlm doctor` says what else is missing",
    "ConfigError": "mend .dvc/config or .dvc/config.local",
    "CyclicGraphError": "mend `deps` and `outs` in dvc.yaml: no stage may need what comes of it",
    "OutputDuplicationError": "one stage or .dvc file may own a path: take the other away (`dvc remove NAME`)",
    "OverlappingOutputPathsError": "one stage or .dvc file may own a path: take the other away (`dvc remove NAME`)",
    "StagePathAsOutputError": "one stage or .dvc file may own a path: take the other away (`dvc remove NAME`)",
    "CacheLinkError": "the cache allows no such link: `dvc config cache.type copy`",
    "CheckoutError": "the data are not in the cache: `dvc fetch`, or run the stages that make them",
    "FileMissingError": "the data are not in the cache: `dvc fetch`, or run the stages that make them",
    "CollectCacheError": "the data are not in the cache: `dvc fetch`, or run the stages that make them",
    "RemoteMissingDepsError": "install the DVC plug-in of that remote, e.g. `pip install 'dvc[s3]'`",
    "YAMLSyntaxError": "mend the file; marks of a merge (<<<<<<<) have to go",
    "YAMLValidationError": "mend the file, or take the last commit's: `git checkout FILE`",
    "LockfileCorruptedError": _LOCK_FILE,
}
_OTHER = "`egovlm doctor` says what is missing on this machine"


def explain(error: BaseException) -> str | None:
    """What to tell a user of an error of these libraries; None for an error that is not theirs."""
    if type(error).__module__.split(".")[0] not in LIBRARIES:
        return None
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    names = [kind.__name__ for kind in type(error).__mro__]
    hint = next((_HINTS[name] for name in names if name in _HINTS), _OTHER)
    if "dvc.lock" in said and any(name.startswith("YAML") for name in names):
        hint = _LOCK_FILE
    return f"{said.partition(' Check the page <')[0]}{_line_of(error)}: {hint}"


def _line_of(error: BaseException) -> str:
    """Where in a YAML file the error is, if its cause says so."""
    mark = getattr(error.__cause__, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1}"


@contextmanager
def explained() -> Iterator[None]:
    """Turn these libraries' errors in the block into a `StageError` of one line.

    Raises:
        StageError: DVC, git or GTO failed.
    """
    try:
        yield
    except EgovlmError:
        raise
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        raise StageError(told) from error


def one_line(function: Callable[P, R]) -> Callable[P, R]:
    """`explained` around a whole command."""

    @wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        with explained():
            return function(*args, **kwargs)

    return told
