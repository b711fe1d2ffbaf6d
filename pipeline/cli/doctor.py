"""`egovlm doctor`: is this machine ready, and how to fix what is not.

Every check is a function without arguments that returns findings; `flows` adds its own (DVC remote, Prefect server) to
`CHECKS`. A check never prints a secret, only whether one is set.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from pipeline.cli.output import AsJson, columns, emit
from pipeline.cli.place import checkout, find_params
from pipeline.errors import ParamsError
from pipeline.layout import DATA
from pipeline.preflight.findings import Finding, State

if TYPE_CHECKING:
    from pipeline.params import Params

MARKS: dict[State, str] = {"ok": "ok", "info": "--", "warn": "!!", "fail": "XX"}
DISK_GB = 5  # the embedded default with its cache and experiments
MEMORY_GB = 4


def check_python() -> Iterator[Finding]:
    """Is this a virtual environment? (An older Python could not have imported this file.)"""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.prefix == sys.base_prefix:
        yield Finding("python", "warn", f"{found}, no virtual environment", "`make run` creates .venv and uses it")
    else:
        yield Finding("python", "ok", found)


def check_packages() -> Iterator[Finding]:
    """Are all packages installed? Versions other than the tested ones are listed."""
    needed = [line.split(";") for line in requires("egovlm") or []]
    names = [_package_name(parts[0]) for parts in needed if "extra ==" not in "".join(parts[1:])]
    tested = tested_versions(checkout() / "constraints.txt")
    missing, other = [], []
    for name in names:
        try:
            installed = version(name)
        except PackageNotFoundError:
            missing.append(name)
            continue
        if tested.get(name.lower(), installed).partition("+")[0] != installed.partition("+")[0]:  # 2.13.0+cpu is 2.13.0
            other.append(f"{name} {installed} (tested: {tested[name.lower()]})")
    if missing:
        yield Finding("packages", "fail", f"missing: {', '.join(missing)}", "run `make install`")
    elif other:
        yield Finding("packages", "warn", "; ".join(other), "run `make install` to get the tested versions")
    else:
        yield Finding(
            "packages",
            "ok",
            f"all {len(names)} installed, at the tested versions" if tested else f"all {len(names)} installed",
        )


def tested_versions(constraints: Path) -> dict[str, str]:
    """`name==version` lines of constraints.txt by lower-case name; empty if the file does not exist."""
    if not constraints.is_file():
        return {}
    pins = [line.split("#")[0].strip().partition("==") for line in constraints.read_text("utf-8").splitlines()]
    return {name.lower(): pinned for name, _, pinned in pins if pinned}


def _package_name(requirement: str) -> str:
    return next(part for part in _split(requirement) if part)


def _split(requirement: str) -> list[str]:
    for separator in "<>=!~[ ;":
        requirement = requirement.replace(separator, " ")
    return requirement.split(" ")


def check_torch() -> Iterator[Finding]:
    """torch, its accelerator, and torchvision: PyPI's torchvision fails to import beside a CPU build of torch."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Finding("gpu", "ok", ", ".join(names))
    else:
        yield _without_gpu(torch.__version__, shutil.which("nvidia-smi") is not None)
    if find_spec("torchvision") is None:
        return
    try:
        import_module_quietly("torchvision")
    except Exception as error:
        found = f"torchvision is installed but fails to import ({type(error).__name__})"
        yield Finding("torchvision", "fail", found, "pip uninstall torchvision: egovlm does not need it")


def _without_gpu(torch_version: str, has_driver: bool) -> Finding:
    """A machine with a GPU driver that torch cannot use is set up wrongly; one without a driver is fine."""
    if has_driver:
        mend = "install PyTorch for your CUDA (pytorch.org/get-started), then `make install`"
        return Finding("gpu", "warn", f"a GPU driver is installed, but torch {torch_version} sees no GPU", mend)
    mend = "the embedded default needs no GPU; `egovlm profile full` does"
    return Finding("gpu", "info", f"none (torch {torch_version})", mend)


def import_module_quietly(name: str) -> None:
    """Import a module only to see whether that works."""
    __import__(name)


def check_decord() -> Iterator[Finding]:
    """decord and decord2 write to the same folder: if both are installed, neither can be trusted."""
    both = [name for name in ("decord", "decord2") if _installed(name)]
    if len(both) == 2:
        mend = "pip uninstall decord decord2, then `make install`"
        yield Finding("decord", "fail", "decord and decord2 are both installed, and overwrite each other", mend)


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def check_codecs() -> Iterator[Finding]:
    """What PyAV can decode, and whether it can encode H.264 (the synthetic source needs that)."""
    import av

    missing = [name for name in ("h264", "hevc", "av1", "vp9", "mpeg4") if not _codec(name, "r")]
    if not _codec("libx264", "w"):
        yield Finding(
            "encoder",
            "fail",
            "PyAV cannot encode H.264 (no libx264)",
            "pip install --force-reinstall --only-binary av av",
        )
    if missing:
        yield Finding("codecs", "warn", f"PyAV cannot decode {', '.join(missing)}", "install PyAV from its wheel")
    else:
        yield Finding("codecs", "ok", f"PyAV {av.__version__}: h264 hevc av1 vp9 mpeg4, encodes h264")


def _codec(name: str, mode: Literal["r", "w"]) -> bool:
    import av

    try:
        av.codec.Codec(name, mode)
    except ValueError:  # av's UnknownCodecError
        return False
    return True


def check_room() -> Iterator[Finding]:
    """Memory, disk space for the embedded default, and a writable data/ folder."""
    import psutil

    disk = shutil.disk_usage(checkout()).free / 1e9
    mend = "free some space, or point `dvc cache dir` elsewhere"
    if disk < DISK_GB or not _asks_for_more():
        enough = disk >= DISK_GB
        yield Finding("disk", "ok" if enough else "warn", f"{disk:.0f} GB free", "" if enough else mend)
    memory = psutil.virtual_memory().available / 1e9
    state: State = "ok" if memory >= MEMORY_GB else "warn"
    yield Finding("memory", state, f"{memory:.0f} GB available", "" if state == "ok" else "close something")
    data = checkout() / DATA
    if data.exists() and not os.access(data, os.W_OK):
        yield Finding(
            "data", "fail", f"{data.resolve()} is not writable", "change its owner or permissions (chown, chmod)"
        )


def check_params() -> Iterator[Finding]:
    """Is params.yaml valid, and can this machine do what it asks for?"""
    if not (checkout() / "params.yaml").is_file():
        mend = "run egovlm in a checkout, or set EGOVLM_PROJECT to one"
        yield Finding("params", "fail", f"no params.yaml in {checkout().resolve()}", mend)
        return
    try:
        params = find_params(None)
    except ParamsError as error:
        yield Finding("params", "fail", str(error), "fix the key it names, or run `git checkout params.yaml`")
        return
    from pipeline.preflight.check import preflight

    yield Finding("params", "ok", f"params.yaml is valid and asks for {_subject(params)}")
    yield from preflight(params, checkout())


def check_engine() -> Iterator[Finding]:
    """Which vLLM `make engine` installed. Params that ask for one and have none fail in `check_params`."""
    from pipeline.engine.options import engine_missing, engine_name

    try:
        params = find_params(None)
    except ParamsError:
        return
    environment = checkout() / params.machine.engine.environment
    missing = engine_missing(environment)
    if not missing:
        yield Finding("engine", "ok", f"{engine_name(environment)} in {params.machine.engine.environment}")
    elif "vllm" not in (params.train_grpo.rollout, params.evaluate_egoschema.backend):
        mend = "`make engine` installs vLLM, which only rollout: vllm and backend: vllm need"
        yield Finding("engine", "info", missing, mend)


def _asks_for_more() -> bool:
    """Whether params.yaml asks for more than the embedded default, so that its needs must be computed."""
    try:
        return find_params(None).prepare_model.recipe != "tiny"
    except ParamsError:
        return False


def _subject(params: "Params") -> str:
    """What params.yaml asks for, in a few words."""
    kinds = {name: section.kind for name, section in params.download_videos.sources.items() if section is not None}
    if params.prepare_model.recipe == "tiny" and set(kinds.values()) == {"synthetic"}:
        return "the embedded default"
    model = "the tiny base" if params.prepare_model.recipe == "tiny" else params.prepare_model.hub.model
    return f"{model} on {', '.join(sorted(kinds))}"


def check_accounts() -> Iterator[Finding]:
    """Which accounts are configured? The embedded default needs none."""
    from huggingface_hub import get_token

    home = Path.home()
    mode = os.environ.get("WANDB_MODE", "offline")
    key = "WANDB_API_KEY" in os.environ or _mentions(home / ".netrc", "api.wandb.ai")
    mend = "" if mode != "online" or key else "run `wandb login`, or leave WANDB_MODE=offline"
    yield Finding("wandb", "warn" if mend else "info", f"mode {mode}, {'an' if key else 'no'} API key", mend)
    token = "a token" if get_token() else "no token: gated models and data sets will be refused"
    yield Finding("hugging face", "info", token, "" if get_token() else "if you need those, run `hf auth login`")
    has_keys = (home / ".aws/credentials").is_file() or "AWS_ACCESS_KEY_ID" in os.environ
    keys = "AWS keys present" if has_keys else "no AWS keys"
    mend = "Ego4D videos need a licence (ego4d-data.org) and AWS keys, which expire after 14 days"
    yield Finding("ego4d", "info", keys, mend)


def _mentions(path: Path, text: str) -> bool:
    return path.is_file() and text in path.read_text("utf-8", errors="replace")


CHECKS: list[Callable[[], Iterator[Finding]]] = [
    check_python,
    check_packages,
    check_torch,
    check_decord,
    check_codecs,
    check_room,
    check_params,
    check_engine,
    check_accounts,
]


def examine() -> list[Finding]:
    """All findings; a check that raises becomes a finding."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += check()
        except Exception as error:
            name = check.__name__.removeprefix("check_")
            findings.append(Finding(name, "fail", f"{type(error).__name__}: {error}", "reinstall with `make install`"))
    return findings


def doctor(as_json: AsJson = False) -> None:
    """Check this machine and explain how to fix what is missing.

    Checks Python, packages, torch and torchvision, codecs, disk, memory, the DVC remote, the Prefect server and
    accounts. It also checks what params.yaml asks for: files of the sources, devices, cores, GPU memory, the base
    model and its chat template. The exit code is 1 if something must be fixed before the pipeline can run.

    \b
    Examples:
      egovlm doctor
      egovlm doctor --json | jq '.[] | select(.state == "fail")'
    """
    findings = examine()
    rows = [(MARKS[f.state], f.name, f.found + (f"  -> {f.mend}" if f.mend else "")) for f in findings]
    emit([asdict(f) for f in findings], f"{columns(rows)}\n\n{_verdict(findings)}", as_json)
    if any(f.state == "fail" for f in findings):
        raise typer.Exit(1)


def _verdict(findings: Sequence[Finding]) -> str:
    """The overall verdict, in one line."""
    failed = [f.name for f in findings if f.state == "fail"]
    if failed:
        return f"Must be fixed before the pipeline can run (XX): {', '.join(dict.fromkeys(failed))}."
    doubts = [f.name for f in findings if f.state == "warn"]
    return f"Ready for {_asked_for()}." + (f" Worth checking (!!): {', '.join(doubts)}." if doubts else "")


def _asked_for() -> str:
    try:
        return _subject(find_params(None))
    except ParamsError:
        return "the embedded default"


def register(app: typer.Typer) -> None:
    """Add `doctor` to the command."""
    app.command()(doctor)
