"""The part of `make rehearse` that is quick: the stand-in of each family by the profile's own road, from hub to answer.

The loopback hub serves it, `prepare_model` fetches it by the pinned commit, transformers opens it, it names a letter.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import transformers
import yaml

from benchmarks.rehearsal.base_model import write_base
from benchmarks.rehearsal.hub import Model, serving
from benchmarks.rehearsal.stand_in import STAND_INS
from pipeline.models.generate import generate
from pipeline.models.policy import load_policy
from pipeline.models.sampling import Sampling
from pipeline.params import Params, parse_params
from pipeline.profiles import merge_overlay, read_profile
from pipeline.reports import StageReport
from pipeline.stages import prepare_model
from tests.support.random_policy import ask, make_clip

PROSE = ["What does the camera wearer do? Options: A. a knife B. a red pan <0.2 seconds>"]


def profiled(repository: Path, own: str | None) -> Params:
    """`egovlm profile full`, then the family's own."""
    overlays = [read_profile(repository, name) for name in ("full", own) if name is not None]
    return parse_params(yaml.safe_load(merge_overlay((repository / "params.yaml").read_text(), *overlays)))


@pytest.mark.parametrize("family", list(STAND_INS))
def test_from_the_hub_to_an_answer(
    family: str, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in, made = STAND_INS[family], tmp_path / "made"
    write_base(made, None, PROSE, family)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving(Model(made, stand_in.name, stand_in.commit)) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        report = StageReport("prepare_model")
        prepare_model.run(profiled(repository, stand_in.profile), tmp_path, report)
    assert any(request.startswith("GET /large/model-00001-of-00002") for request in asked)
    base = tmp_path / "data/models/base"
    assert {p.name: p.read_bytes() for p in base.iterdir()} == {
        p.name: p.read_bytes() for p in made.iterdir() if not p.name.startswith(".")
    }
    assert report.values["revision"] == stand_in.commit
    plain: Any = transformers.AutoModelForImageTextToText.from_pretrained(base)
    assert plain.config.model_type == family

    policy = load_policy(base)
    side = 2 * policy.vision.size_multiple
    clips = {"a": make_clip(1, frames=3, height=side, width=side)}
    ((said,),) = generate(policy, [ask(PROSE[0], "a")], clips, Sampling(16, temperature=0.0))
    assert re.search(r"answer: [A-E]<\|im_end\|>$", policy.tokenizer.decode(said.token_ids))
