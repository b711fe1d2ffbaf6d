"""A policy: model, tokenizer and what is needed to feed it video. The tiny base and the 3B load alike."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from pipeline.errors import ModelError
from pipeline.models.chat import adopt_processor_template, check_chat
from pipeline.models.families import FAMILIES, family_of
from pipeline.models.families.family import CLIP_MEAN, CLIP_STD, VIDEO_TOKEN, Family
from pipeline.models.hub import hub_folder
from pipeline.models.untrusted import refuse_code


@dataclass(frozen=True)
class VisionSettings:
    """How frames become patches. `patch_size` in pixels, `temporal_patch_size` in frames; `merge_size` x `merge_size`
    patches become one token; `image_mean` and `image_std` are per RGB channel, for values in [0, 1]."""

    patch_size: int
    temporal_patch_size: int
    merge_size: int
    image_mean: tuple[float, float, float] = CLIP_MEAN
    image_std: tuple[float, float, float] = CLIP_STD

    @property
    def size_multiple(self) -> int:
        """Frame sides must be multiples of this many pixels."""
        return self.patch_size * self.merge_size

    def video_tokens(self, frames: int, height: int, width: int) -> int:
        """Tokens a clip takes in the prompt."""
        steps = -(-frames // self.temporal_patch_size)
        return steps * (height // self.size_multiple) * (width // self.size_multiple)


@dataclass(frozen=True)
class Policy:
    """A loaded policy. `model` may be a PEFT wrapper around transformers' model; `revision` is where it came from."""

    model: Any
    tokenizer: Any
    vision: VisionSettings
    video_token_id: int
    pad_token_id: int
    eos_token_ids: tuple[int, ...]
    suppressed_token_ids: tuple[int, ...]
    context_length: int
    folder: str
    revision: str | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def base(self) -> Any:
        """The bare model of transformers, without a PEFT wrapper."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def family(self) -> Family:
        """What is its family's own."""
        return FAMILIES[self.base.config.model_type]

    @property
    def tower(self) -> Any:
        """The vision tower."""
        return getattr(self.base.model, self.family.tower)

    @property
    def language_model(self) -> Any:
        """The language model's layers, without its head."""
        return getattr(self.base.model, self.family.language_model)


def load_policy(
    folder_or_id: str | Path,
    revision: str | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    attention: str = "sdpa",
) -> Policy:
    """Load a policy from a `from_pretrained` folder or a hub id at a pinned revision; safetensors only, no remote code.

    Raises:
        ModelError: nothing can be loaded from there, its family is unknown, or model and tokenizer do not match.
    """
    name = str(folder_or_id)
    check_source(name, revision)
    refuse_code(Path(name))
    folder = Path(name) if Path(name).is_dir() else hub_folder(name, str(revision))
    config, tokenizer = load_small(folder, name)
    with _foreign(name):
        load: Any = family_of(config, name).loader.from_pretrained
        model = load(folder, **_OWN, dtype=dtype, use_safetensors=True, attn_implementation=attention)
        return make_policy(model.to(device), tokenizer, str(folder), revision)


_OWN: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


def load_small(folder: Path, name: str) -> tuple[Any, Any]:
    """Config and tokenizer of `folder`, checked; its weights need not be there. Messages call it `name`.

    Raises:
        ModelError: its family is unknown, or config and tokenizer do not match (token ids, chat template).
    """
    with _foreign(name):
        config = AutoConfig.from_pretrained(folder, **_OWN)
        if getattr(config, "auto_map", None):
            raise ModelError(
                f"{name} brings its own Python code (auto_map in config.json), which egovlm never runs: use a model "
                "without it"
            )
        family = family_of(config, name)
        tokenizer = AutoTokenizer.from_pretrained(folder, **_OWN)
        adopt_processor_template(tokenizer, folder)
        _check_match(config, tokenizer, _special_ids(family, tokenizer), name)
        return config, tokenizer


@contextmanager
def _foreign(name: str) -> Iterator[None]:
    """For foreign files: on a wrong value the libraries may raise anything, even a bare Exception."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"no policy can be loaded from {name}: {_first_line(error)}") from error


def check_source(name: str, revision: str | None) -> None:
    """A model is named by a folder, or by a hub id with its pinned commit.

    Raises:
        ModelError: the name is neither.
    """
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise ModelError(f"{name} has no config.json: run `dvc repro prepare_model` to make it")
    elif name.startswith((".", "/")) or name.count("/") != 1:
        raise ModelError(f"{name} is neither a folder nor a hub id (owner/name)")
    elif revision is None:
        raise ModelError(f"{name} is a hub id without a revision: pin one (a commit hash) so that runs can be repeated")


def _first_line(error: Exception) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {line}"


def make_policy(model: Any, tokenizer: Any, folder: str = "", revision: str | None = None) -> Policy:
    """Bind an already loaded model and tokenizer.

    Raises:
        ModelError: its family is unknown, or they do not match (token ids, vocabulary size, chat template).
    """
    config = model.config
    family = family_of(config, folder)
    special = _special_ids(family, tokenizer)
    _check_match(config, tokenizer, special, folder)
    tokenizer.padding_side = "left"
    family.prepare(model)
    return Policy(
        model=model,
        tokenizer=tokenizer,
        vision=read_vision_settings(family, config.vision_config, folder),
        video_token_id=config.video_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_ids=_eos_token_ids(model, tokenizer),
        suppressed_token_ids=tuple(sorted(i for i in special.values() if i is not None)),
        context_length=config.get_text_config().max_position_embeddings,
        folder=folder,
        revision=revision,
    )


def _special_ids(family: Family, tokenizer: Any) -> dict[str, int | None]:
    return {token: tokenizer.convert_tokens_to_ids(token) for token in family.vision_tokens}


def _check_match(config: Any, tokenizer: Any, special: dict[str, int | None], folder: str) -> None:
    rows = config.get_text_config().vocab_size
    if len(tokenizer) > rows:
        raise ModelError(f"{folder}: the tokenizer has {len(tokenizer)} tokens, the model embeds {rows}")
    if special[VIDEO_TOKEN] != config.video_token_id:
        found = f"{VIDEO_TOKEN} is token {special[VIDEO_TOKEN]}, the model's video_token_id is {config.video_token_id}"
        raise ModelError(f"{folder}: model and tokenizer do not match: {found}")
    if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
        raise ModelError(f"{folder}: the tokenizer needs a pad token and an end token")
    check_chat(tokenizer, folder)


def _eos_token_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Every id that ends a completion: the tokenizer's, those in the model's generation config, and the pad token,
    which TRL's losses also treat as an end."""
    declared = model.generation_config.eos_token_id
    ids = [declared] if isinstance(declared, int) else list(declared or [])
    return tuple(dict.fromkeys([tokenizer.eos_token_id, *ids, tokenizer.pad_token_id]))


def read_vision_settings(family: Family, vision_config: Any, folder: str) -> VisionSettings:
    """Patch geometry from the model's config, colour statistics from the folder's preprocessor_config.json or, without
    one, the family's."""
    colours: dict[str, Any] = {}
    for name in ("video_preprocessor_config.json", "preprocessor_config.json"):
        path = Path(folder) / name if folder else None
        if path is not None and path.is_file():
            colours = json.loads(path.read_text(encoding="utf-8"))
            break
    return VisionSettings(
        patch_size=vision_config.patch_size,
        temporal_patch_size=vision_config.temporal_patch_size,
        merge_size=vision_config.spatial_merge_size,
        image_mean=tuple(colours.get("image_mean", family.image_mean)),
        image_std=tuple(colours.get("image_std", family.image_std)),
    )
