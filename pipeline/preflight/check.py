"""Everything that can be checked before the first stage, in the order of the stages."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import EgovlmError
from pipeline.params import Params
from pipeline.preflight.budget import check_disk, check_gpu_memory
from pipeline.preflight.findings import Finding
from pipeline.preflight.machine import check_cores, check_devices, check_engine, check_packages
from pipeline.preflight.model import BaseModel, check_base
from pipeline.preflight.names import check_names
from pipeline.preflight.settings import check_settings
from pipeline.preflight.sources import check_sources

Check = Callable[[Params, Path], Iterator[Finding]]
LIGHT: tuple[Check, ...] = (
    check_sources,
    check_names,
    check_settings,
    check_cores,
    check_packages,
    check_engine,
    check_devices,
)


def preflight(params: Params, root: Path) -> list[Finding]:
    """Problems with `params` in `root`; a check that raises becomes a finding."""
    findings = [finding for check in LIGHT for finding in _guarded(check, params, root)]
    if params.prepare_model.recipe == "tiny":
        return findings
    base, found = check_base(params, root)
    findings += found
    if base is not None:
        findings += [*_sized(check_disk, params, root, base), *_sized(check_gpu_memory, params, root, base)]
    return findings


def _guarded(check: Check, params: Params, root: Path) -> Iterator[Finding]:
    try:
        yield from check(params, root)
    except EgovlmError as error:
        yield Finding(check.__name__.removeprefix("check_"), "fail", str(error), "fix what it names")


def _sized(
    check: Callable[[Params, Path, BaseModel], Iterator[Finding]], params: Params, root: Path, base: BaseModel
) -> Iterator[Finding]:
    yield from check(params, root, base)
