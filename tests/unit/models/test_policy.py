"""Loading a policy: a round trip, and every way in which a folder can be wrong."""

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from pipeline.errors import ModelError
from pipeline.models.hub import SMALL
from pipeline.models.policy import load_policy, make_policy
from tests.support.random_policy import make_random_policy, make_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy")
    policy = make_random_policy()
    policy.model.save_pretrained(path)
    policy.tokenizer.save_pretrained(path)
    return path


def test_round_trip(folder: Path) -> None:
    policy, made = load_policy(folder), make_random_policy()
    for name, weight in made.model.state_dict().items():
        assert torch.equal(policy.model.state_dict()[name], weight), name
    assert policy.vision == made.vision
    assert policy.eos_token_ids == (policy.tokenizer.convert_tokens_to_ids("<|im_end|>"), policy.pad_token_id)
    assert policy.context_length == 512
    assert policy.tokenizer.padding_side == "left"


def test_think_tags_survive_decoding(folder: Path) -> None:
    tokenizer = load_policy(folder).tokenizer
    ids = tokenizer("<think>red</think><answer>B</answer>")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == "<think>red</think><answer>B</answer>"


def test_colour_statistics_come_from_the_folder(folder: Path) -> None:
    path = folder / "preprocessor_config.json"
    path.write_text('{"image_mean": [0.1, 0.2, 0.3], "image_std": [1.0, 1.0, 1.0]}')
    try:
        assert load_policy(folder).vision.image_mean == (0.1, 0.2, 0.3)
    finally:
        path.unlink()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/nowhere/at/all", "neither a folder nor a hub id"),
        ("owner/model", "hub id without a revision"),
        ("just-a-name", "neither a folder nor a hub id"),
    ],
)
def test_bad_names(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_policy(name)


def test_a_template_that_stands_only_in_the_processors_file_is_read(folder: Path, tmp_path: Path) -> None:
    vision = load_policy(folder).tokenizer.chat_template
    for name, own in (("none", None), ("text", "{% for m in messages %}{{ 'user: ' + m['content'] }}{% endfor %}")):
        made = tmp_path / name
        shutil.copytree(folder, made)
        tokenizer = make_tokenizer()
        tokenizer.chat_template = own
        tokenizer.save_pretrained(made)
        if own is None:
            (made / "chat_template.jinja").unlink()
        message = "the tokenizer has no chat template" if own is None else r"writes TypeError: can only concatenate str"
        with pytest.raises(ModelError, match=message):
            load_policy(made)
        (made / "chat_template.json").write_text(json.dumps({"chat_template": vision}))
        assert load_policy(made).tokenizer.chat_template == vision
        (made / "chat_template.json").write_text("[]")
        with pytest.raises(ModelError, match=r"chat_template\.json has no chat_template"):
            load_policy(made)


def test_a_pinned_commit_that_is_whole_in_the_cache_is_loaded_without_asking_the_hub(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, asked = "0123456789abcdef0123456789abcdef01234567", []
    cached = tmp_path / "models--owner--model/snapshots" / commit
    shutil.copytree(folder, cached)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    known = huggingface_hub.snapshot_download

    def watched(name: str, **options: Any) -> str:
        if options.get("local_files_only"):
            return known(name, cache_dir=tmp_path, **options)
        asked.append(options["allow_patterns"])
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", watched)
    policy = load_policy("owner/model", commit)
    assert asked == []
    assert (policy.revision, policy.folder) == (commit, str(cached))
    (cached / "model.safetensors").rename(cached / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (cached / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(ModelError, match=r"owner/model at 0123456789ab is incomplete in the cache, .*no network"):
        load_policy("owner/model", commit)
    assert asked == [list(SMALL)]  # small files first: whole weights say that all is there


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="dvc repro prepare_model"):
        load_policy(tmp_path)


def test_torn_weights_are_an_error_of_one_line(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[: 100 if path.suffix == ".safetensors" else None])
    with pytest.raises(ModelError, match=r"no policy can be loaded from") as caught:
        load_policy(tmp_path)
    assert "\n" not in str(caught.value)


def test_model_and_tokenizer_that_do_not_match() -> None:
    policy, tokenizer = make_random_policy(), make_tokenizer()
    tokenizer.add_tokens([f"extra{i}" for i in range(5)])
    with pytest.raises(ModelError, match=r"the tokenizer has \d+ tokens, the model embeds 43"):
        make_policy(policy.model, tokenizer)
    bare = make_tokenizer()
    bare.chat_template = None
    with pytest.raises(ModelError, match="the tokenizer has no chat template"):
        make_policy(policy.model, bare)
    bare.chat_template = "{% for m in messages %}{{ m['content'][1]['text'] }}{% endfor %}"
    with pytest.raises(ModelError, match=r"must write exactly one <\|video_pad\|> for a video, but writes 'what'"):
        make_policy(policy.model, bare)
    special = make_tokenizer()
    special.add_special_tokens({"extra_special_tokens": ["<think>", "</think>"]})
    with pytest.raises(ModelError, match="decodes <think></think> to ''"):
        make_policy(policy.model, special)
    policy.model.config.video_token_id = 3
    with pytest.raises(ModelError, match=r"video_pad\|> is token 6, the model's video_token_id is 3"):
        make_policy(policy.model, make_tokenizer())
