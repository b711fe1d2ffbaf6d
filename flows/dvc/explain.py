"""The one place that turns errors of DVC, git and GTO into one line with the next step.

Their exceptions are many and undocumented, so they are recognised by the library they come from. The hint is chosen by
the name of the class or its bases. Any other exception is a bug and passes through.
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
    "then run again: stages it does not describe run again"
)
NO_GIT = "experiments and promotions are git commits and tags: `git init && git add -A && git commit -m start`"
_HINTS = {
    "LockError": "another DVC command is running in this checkout: wait for it to end, then run this again",
    "RWLockFileCorruptedError": "a power cut or a full disk damaged it: remove it while no DVC command is running",
    "RWLockFileFormatError": "a power cut or a full disk damaged it: remove it while no DVC command is running",
    "SCMError": NO_GIT,
    "NoSCMError": NO_GIT,
    "NotDvcRepoError": "run `dvc init`; `egovlm doctor` says what else is missing",
    "ConfigError": "fix .dvc/config or .dvc/config.local",
    "CyclicGraphError": "fix `deps` and `outs` in dvc.yaml: no stage may depend on its own results",
    "OutputDuplicationError": "only one stage or .dvc file may own a path: remove the other (`dvc remove NAME`)",
    "OverlappingOutputPathsError": "only one stage or .dvc file may own a path: remove the other (`dvc remove NAME`)",
    "StagePathAsOutputError": "only one stage or .dvc file may own a path: remove the other (`dvc remove NAME`)",
    "CacheLinkError": "the file system does not support this kind of link: `dvc config cache.type copy`",
    "CheckoutError": "the data are not in the cache: `dvc fetch`, or run the stages that make them",
    "FileMissingError": "the data are not in the cache: `dvc fetch`, or run the stages that make them",
    "CollectCacheError": "the data are not in the cache: `dvc fetch`, or run the stages that make them",
    "RemoteMissingDepsError": "install the DVC plug-in of that remote, e.g. `pip install 'dvc[s3]'`",
    "YAMLSyntaxError": "fix the file; remove merge conflict markers (<<<<<<<)",
    "YAMLValidationError": "fix the file, or restore the last commit's: `git checkout FILE`",
    "LockfileCorruptedError": _LOCK_FILE,
}
_OTHER = "`egovlm doctor` says what is missing on this machine"


def explain(error: BaseException) -> str | None:
    """What to tell a user about an error of these libraries; None for any other error."""
    if type(error).__module__.split(".")[0] not in LIBRARIES:
        return None
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    names = [kind.__name__ for kind in type(error).__mro__]
    hint = next((_HINTS[name] for name in names if name in _HINTS), _OTHER)
    if "dvc.lock" in said and any(name.startswith("YAML") for name in names):
        hint = _LOCK_FILE
    return f"{said.partition(' Check the page <')[0]}{_line_of(error)}: {hint}"


def _line_of(error: BaseException) -> str:
    """Where in a YAML file the error is, if known."""
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
