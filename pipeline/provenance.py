"""What a stage ran from, recorded twice: by the stage in its report, and by DVC in dvc.lock. The two must agree.

A stage cannot tell DVC what it ran from: DVC reads the files when the stage has ended. The files may change between the
stage's own last check (pipeline/picture.py) and DVC's. So the two records are compared wherever a result counts:
when the next stage reads it, before an experiment is saved, a card is written or a model is promoted.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ArtifactError
from pipeline.layout import TRAINING, report_of

CODE = "pipeline"  # the package that holds the stages' code
TRAIN = "train_grpo"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 10 ms instead of 150 for a lock file of 700 lines


@dataclass(frozen=True)
class Listed:
    """What dvc.yaml says a stage reads: paths of code and of data from the root, and dotted keys of params.yaml."""

    code: tuple[str, ...]
    data: tuple[str, ...]
    params: tuple[str, ...]


def listed(root: Path, stage: str) -> Listed:
    """The entry of `stage` in dvc.yaml; empty if there is none (then nothing is recorded either)."""
    try:
        entry = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return Listed((), (), ())
    deps = [dep for dep in entry.get("deps", []) if isinstance(dep, str)]
    code = tuple(dep for dep in deps if dep.split("/")[0] == CODE)
    params = tuple(key for key in entry.get("params", []) if isinstance(key, str))
    return Listed(code, tuple(dep for dep in deps if dep not in code), params)


def ran_from(home: Path, stage: str) -> dict[str, Any]:
    """What a stage in `home` runs from: digests of `code` by path, values of `params` by key.

    {} if dvc.yaml does not know the stage.
    """
    entry = listed(home, stage)
    if not entry.code and not entry.params:
        return {}
    values = yaml.safe_load((home / "params.yaml").read_text(encoding="utf-8"))
    return {
        "code": {path: dvc_digest(home / path) for path in entry.code},
        "params": {key: value_at(values, key) for key in entry.params},
    }


def disagreements(root: Path) -> dict[str, list[str]]:
    """By stage, how its own record differs from dvc.lock; {} if all records agree.

    A stage without a report, or with one from before such records existed, is skipped.

    Raises:
        ArtifactError: dvc.lock is unreadable.
    """
    found = {}
    for stage, entry in _locked(root).items():
        said = _json(root / report_of(stage)).get("ran_from") or {}
        differing = [*_code(said.get("code") or {}, entry), *_params(said.get("params") or {}, entry)]
        if stage == TRAIN:
            differing += _params(_trained_with(root, entry), entry)
        if differing:
            found[stage] = list(dict.fromkeys(differing))
    return found


def refuse_disagreements(root: Path, only: Collection[str] | None = None) -> None:
    """Make sure that dvc.lock names what really ran, for all stages or only for those in `only`.

    Raises:
        ArtifactError: it does not; the message names stage, key and both values.
    """
    for stage, differing in disagreements(root).items():
        if only is not None and stage not in only:
            continue
        raise ArtifactError(
            f"dvc.lock does not match what {stage} ran from: {'; '.join(differing[:3])}. It changed while the stage "
            f"ended: `egovlm run {stage} --force` makes the result again"
        )


def makers(root: Path, stage: str) -> set[str]:
    """The stages of dvc.yaml that make what `stage` reads."""
    try:
        stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        read = [dep for dep in stages[stage].get("deps", []) if isinstance(dep, str)]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return set()
    return {name for name, entry in stages.items() if any(_meet(out, dep) for out in _outs(entry) for dep in read)}


def _outs(entry: Mapping[str, Any]) -> list[str]:
    listed_outs = [out for kind in ("outs", "metrics", "plots") for out in entry.get(kind, [])]
    return [out if isinstance(out, str) else next(iter(out)) for out in listed_outs]


def _meet(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _locked(root: Path) -> dict[str, Any]:
    try:
        text = (root / "dvc.lock").read_text(encoding="utf-8")
        stages: dict[str, Any] = yaml.load(text, _LOADER)["stages"]  # noqa: S506 - both loaders are the safe ones
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise ArtifactError(f"dvc.lock cannot be read: {' '.join(str(error).split())}") from error
    return stages


def _code(said: Mapping[str, str], entry: Mapping[str, Any]) -> list[str]:
    locked = {dep["path"]: dep.get("md5") for dep in entry.get("deps", [])}
    return [f"the code of {path} differs" for path, digest in said.items() if locked.get(path, digest) != digest]


def _params(said: Mapping[str, Any], entry: Mapping[str, Any]) -> list[str]:
    locked = (entry.get("params") or {}).get("params.yaml") or {}
    return [
        f"{key} was {display_value(ran)}, dvc.lock says {display_value(written)}"
        for name, value in said.items() if name in locked
        for key, ran, written in differences(value, locked[name], name)
    ]  # fmt: skip


def _trained_with(root: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The params in the policy's own training.json; {} unless it is the file that dvc.lock records."""
    return _json(root / TRAINING).get("params") or {} if entry.get("outs") else {}


def differences(before: Any, now: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """(key, before, now) of every leaf at which two values of `key` differ."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*before, *now]):
            yield from differences(before.get(name), now.get(name), f"{key}.{name}" if key else str(name))
    elif not _same(before, now):
        yield key, before, now


def _same(one: Any, other: Any) -> bool:
    """Equal, or the same number: YAML 1.1 reads `1e-5` as text and YAML 1.2 as a number."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return not any(differences(one, other, ""))
    try:
        return bool(one == other) or (type(one) is not bool and float(one) == float(other))
    except (TypeError, ValueError):
        return False


def display_value(value: Any) -> str:
    """A value for a message, cut at 60 characters."""
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def value_at(values: Any, key: str) -> Any:
    """The value of a dotted key in nested mappings; None if it is not there."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def code_files(path: Path) -> list[Path]:
    """The files at or below `path` that DVC treats as code, sorted, without compiled Python (.dvcignore)."""
    if path.is_file():
        return [path]
    found = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in found if file.suffix != ".pyc" and "__pycache__" not in file.parts)


def dvc_digest(path: Path) -> str:
    """DVC's digest of a file (its MD5) or a folder (MD5 of the sorted list of its files' MD5s, and `.dir`)."""
    if path.is_file():
        return _md5(path)
    entries = [{"md5": _md5(file), "relpath": file.relative_to(path).as_posix()} for file in code_files(path)]
    text = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]), sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
