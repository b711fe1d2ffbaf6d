"""Run in a copy of the code to which docs/extend.md's steps were applied: every new entry does its work.

python -m tests.extending.extended FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from transformers import Qwen2VLConfig

from flows.dvc.changes import note_sources, read_sources, source_paths, sources_changed
from flows.dvc.project import Project
from pipeline.evaluation.benchmarks import BENCHMARKS
from pipeline.evaluation.benchmarks.base import select_questions
from pipeline.grpo.callbacks import SHOWN
from pipeline.grpo.rewards import REWARDS, prove_rewards, rewards_in_use
from pipeline.keyframes.scorers import check_scorer, load_scorer
from pipeline.keyframes.views import Views
from pipeline.models.generate import generate, rope_positions
from pipeline.models.inputs import encode_prompts
from pipeline.models.sampling import Sampling
from pipeline.models.vision import FeatureCache
from pipeline.params import parse_params
from pipeline.preflight.check import preflight
from pipeline.records import Annotation, read_rows
from pipeline.reports import StageReport
from pipeline.stages import download_videos
from tests.support.data_world import clip, data_params, local_params
from tests.support.random_policy import CONFIGS, ask, make_clip, make_random_policy, text_config
from tests.support.small_run import small_params, small_samples
from tests.unit.evaluation.making import make_question


def check_signal() -> None:
    """The view that is brighter than the one before stands out."""
    check_scorer("brightness", {})
    images = np.zeros((20, 8, 8, 3), np.uint8)
    images[10:] = 200
    assert abs(int(load_scorer("brightness")(Views(images, np.arange(20) / 10), []).argmax()) - 10) <= 3


def check_reward() -> None:
    """It is used by its weight, is proven on gold and empty completions, and has a curve."""
    params = small_params(rewards={"accuracy": 1.0, "calm": 0.1}).train_grpo
    REWARDS.check(params.rewards, "train_grpo.rewards", params.plugins)
    assert rewards_in_use(params.rewards) == {"accuracy": 1.0, "calm": 0.1}
    prove_rewards(params.rewards, small_samples(), params.reward_settings)
    assert SHOWN["rewards/calm/mean"] == "reward_calm"


def check_benchmark() -> None:
    """It takes its own questions."""
    BENCHMARKS.check(["kitchens"], "evaluate_egoschema.benchmark", {})
    questions = [make_question(0, source="kitchens_val"), make_question(1)]
    assert [q.question_id for q in select_questions(BENCHMARKS["kitchens"], questions)] == ["q0"]


def check_source_and_format(folder: Path) -> None:
    """The stage fetches by the new kind and reads by the new form; a new file is noticed."""
    for name in ("a", "b"):
        clip(folder / f"store/{name}.mp4", seed=len(name))
    (folder / "shelf.txt").write_text("a.mp4\nb.mp4\n")
    rows = [{"nr": i, "file": name, "text": f"What is on {name}?", "choices": "cup;pan"} for i, name in enumerate("ab")]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    section = local_params(folder / "store", folder / "q.jsonl", format="plain").model_dump(exclude={"folder"})
    section |= {"kind": "shelf", "directory": str(folder / "store"), "list": str(folder / "shelf.txt")}
    raw = data_params({"none": local_params(folder, folder)}).model_dump()
    raw["download_videos"]["sources"] = {"mine": section}
    params = parse_params(raw)
    assert [f.found for f in preflight(params, folder) if f.state == "fail" and f.name in ("mine", "names")] == []
    download_videos.run(params, folder, StageReport("download_videos"))
    read = read_rows(folder / "data/raw/annotations.parquet", Annotation)
    assert [(row.video_id, row.options, row.answer) for row in read] == [
        ("a", ("cup", "pan"), 0),
        ("b", ("cup", "pan"), 0),
    ]
    (folder / "params.yaml").write_text(json.dumps(raw))
    (folder / "dvc.lock").write_text("{}")
    project = Project(folder)
    note_sources(project, read_sources(project))
    assert sources_changed(project) is None
    clip(folder / "store/c.mp4")
    assert sources_changed(project) == "new or changed files in source mine"
    assert folder / "store" in source_paths(project)  # it never travels with the code


def check_family() -> None:
    """A random Qwen2-VL writes what transformers' own greedy `generate` writes, from cached features."""
    CONFIGS["qwen2_vl"] = qwen2_vl
    policy = make_random_policy(family="qwen2_vl")
    clips, prompt = {"a": make_clip(1, frames=5)}, ask("what is taken ?", "a")
    ((mine,),) = generate(policy, [prompt], clips, Sampling(8, temperature=0.0), cache=FeatureCache(policy, 1))
    inputs = encode_prompts(policy, [prompt], clips)
    never, ends = list(policy.suppressed_token_ids), list(policy.eos_token_ids)
    settings = {"max_new_tokens": 8, "do_sample": False, "suppress_tokens": never, "eos_token_id": ends}
    theirs = policy.model.generate(**inputs.forward_kwargs(), **settings)[0, inputs.input_ids.shape[1] :]
    assert list(mine.token_ids) == theirs.tolist()
    positions, _ = rope_positions(policy, inputs)
    video = positions[:, 0, inputs.input_ids[0] == policy.video_token_id]
    assert (video.amax(1) - video.amin(1)).tolist() == [2, 1, 3]  # steps, rows and columns, one position apart


def qwen2_vl(tokenizer: Any, layers: int, width: int, ids: dict[str, int]) -> Any:
    """A config of a few thousand weights."""
    shared = {"patch_size": 4, "temporal_patch_size": 2, "spatial_merge_size": 2, "initializer_range": 0.2}
    vision = {**shared, "depth": 2, "embed_dim": 16, "hidden_size": width, "num_heads": 2}
    text = text_config(tokenizer, layers, {"mrope_section": [1, 1, 2]}, width)
    return Qwen2VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **ids)


if __name__ == "__main__":
    check_family()
    check_signal()
    check_reward()
    check_benchmark()
    check_source_and_format(Path(sys.argv[1]))
    print("all six work")
