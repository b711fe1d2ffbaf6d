"""The training stage on a random model: files in, policy out, and every kind of bad input."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from pipeline.errors import ArtifactError, EmptyInput, ModelError
from pipeline.frames.jpeg import encode_jpeg
from pipeline.frames.shards import Layout, write_bucket, write_manifest
from pipeline.frames.store import SCHEMA
from pipeline.grpo.checkpoints import Checkpoints
from pipeline.grpo.run import make_trainer
from pipeline.models.policy import load_policy
from pipeline.params import Params
from pipeline.records import Keyframe, Question, clip_id, read_rows, write_rows
from pipeline.reports import StageReport
from pipeline.stages import train_grpo
from tests.support.random_policy import make_random_policy
from tests.support.small_run import small_params

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")


def question(number: int, split: str, **changes: Any) -> Question:
    fields: dict[str, Any] = {
        "question_id": f"q{number:02d}",
        "video_id": f"v{number}",
        "source": "test",
        "licence": "CC0-1.0",
        "question": "what is taken ?",
        "options": ("red", "blue", "cup"),
        "answer": number % 3,
        "start_seconds": 1.0,
        "end_seconds": 4.0,
        "keyframe_seconds": (1.5,) if number % 2 else None,
        "split": split,
    }
    return Question(**{**fields, **changes})


def write_frames(folder: Path, clips: list[str], frames: int = 4) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {
            "item_id": clip,
            "key": "k",
            "video_id": clip.split("@")[0],
            "pts_seconds": [1.25 + 0.75 * i for i in range(frames)],
            "origin_seconds": 0.0,
            "width": 32,
            "height": 16,
            "decode_method": "plan",
            "jpegs": [encode_jpeg(rng.integers(0, 256, (16, 32, 3), dtype=np.uint8), 95) for _ in range(frames)],
        }
        for clip in clips
    ]
    layout = Layout(SCHEMA, 1, 10**8)
    folder.mkdir(parents=True, exist_ok=True)
    write_bucket(folder, layout, 0, rows)
    write_manifest(folder, layout, {})


def write_base(folder: Path) -> None:
    policy = make_random_policy()
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    questions = [question(i, "train") for i in range(8)] + [question(i, "dev") for i in (8, 9)] + [question(10, "test")]
    write_project(tmp_path, questions)
    return tmp_path


def write_project(root: Path, questions: list[Question]) -> None:
    write_rows(root / "data/dataset/questions.parquet", questions, Question)
    clips = sorted({q.clip_id for q in questions})
    mined = [
        Keyframe(
            clip_id=c,
            pts_seconds=2.0 + r,
            rank=r,
            score=0.5,
            signal="lk_affine",
            event=r,
            role="peak",
            event_start_seconds=1.75 + r,
            event_end_seconds=2.25 + r,
        )
        for c in clips
        for r in (0, 1)
    ]
    write_rows(root / "data/keyframes/keyframes.parquet", mined, Keyframe)
    write_frames(root / "data/frames", clips)
    write_base(root / "data/models/base")


def test_what_cannot_take_effect_with_these_data_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run(root, dev_questions=60)
    assert report.values["idle_settings"] == ["dev_questions 60: the data have 2"]
    questions = [q for q in read_rows(root / "data/dataset/questions.parquet", Question) if q.split == "train"]
    open_ended = [q.model_copy(update={"keyframe_seconds": None}) for q in questions]
    write_rows(root / "data/dataset/questions.parquet", open_ended, Question)
    settings = small_params().train_grpo.reward_settings.model_copy(update={"mined_targets": 0})
    report = run(root, dev_questions=60, select="best", patience=3, reward_settings=settings)
    no_dev, no_times = report.values["idle_settings"]
    assert no_dev.startswith("dev_questions 60, dev_every 2, patience 3, select best: the dev split is empty")
    assert no_times.startswith("rewards.keyframe 0.3: no training question has key times")
    assert capsys.readouterr().out.count("train_grpo: a setting has no effect: ") == 3
    assert run(root, dev_questions=0, rewards=_without_keyframe()).values["idle_settings"] == []


@pytest.mark.parametrize(("adapted", "held"), [(True, torch.bfloat16), (False, torch.float32)])
def test_only_what_is_trained_is_held_in_float32(root: Path, adapted: bool, held: torch.dtype) -> None:
    lora = {"rank": 4, "alpha": 8.0, "targets": ["q_proj", "v_proj"]} if adapted else None
    params = small_params(max_steps=1, dev_questions=0, prompts_per_step=2, dtype="bfloat16", lora=lora)
    work = train_grpo.read_run(params, root, StageReport("train_grpo"))
    assert {weight.dtype for weight in work.policy.model.parameters()} == {held}
    trainer = make_trainer(work, Checkpoints(root / "checkpoints", work.origin, 1))
    learning = {weight.dtype for weight in trainer.model.parameters() if weight.requires_grad}
    assert learning == {torch.float32}
    assert run(root, params).values["steps"] == 1


def _without_keyframe() -> Any:
    return {**small_params().train_grpo.rewards, "keyframe": 0.0}


def run(root: Path, params: Params | None = None, **overrides: Any) -> StageReport:
    report = StageReport("train_grpo")
    params = params or small_params(**{"max_steps": 2, "dev_every": 2, "prompts_per_step": 2, **overrides})
    train_grpo.run(params, root, report)
    for folder in report.state:  # as pipeline/stages/__main__.py does
        shutil.rmtree(folder, ignore_errors=True)
    return report


def test_files_in_files_out(root: Path) -> None:
    report = run(root)
    policy = load_policy(root / "data/models/policy")
    card = json.loads((root / "data/models/policy/training.json").read_text())
    assert report.outcomes == {"question": {"ok": 10}}
    assert report.values["steps"] == 2
    assert report.values["questions_train"] == 8
    assert set(report.values["dev_accuracy_by_step"]) == {"0", "2"}
    assert card["params"]["train_grpo"]["max_steps"] == 2
    assert "machine" not in card["params"]  # else other workers make another policy
    assert set(card["data"]) == set(train_grpo.READS)
    assert all(len(digest) == 64 for digest in card["data"].values())
    assert policy.model.config.model_type == "qwen2_5_vl"
    assert not (root / "data/checkpoints/train_grpo").exists()
    live = root / "data/reports/live/train_grpo"
    assert (live / "plots/metrics/reward.tsv").read_text().splitlines()[0] == "step\treward"
    assert json.loads((live / "metrics.json").read_text())["step"] == 2
    assert not list(root.glob("dvc.yaml"))


def test_fewer_questions_than_a_batch_are_taken_and_told(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report = run(root, prompts_per_step=32)
    assert report.values["questions_per_step"] == 8
    assert "8 training questions are fewer than prompts_per_step (32): each step takes 8" in capfd.readouterr().err


def test_two_runs_give_the_same_bytes(root: Path) -> None:
    products = []
    for _ in range(2):
        run(root)
        folder = root / "data/models/policy"
        products.append({p.name: p.read_bytes() for p in sorted(folder.iterdir())})
    assert products[0].keys() == products[1].keys()
    assert [name for name in products[0] if products[0][name] != products[1][name]] == []


def test_mined_times_stand_in_where_a_question_has_none(root: Path) -> None:
    samples = {}

    def keep(given: Any) -> dict[str, Any]:
        samples.update({s.question_id: s for s in given.train})
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_grpo, "train", keep)
        run(root)
    assert samples["q01"].key_seconds == (0.5,)  # its own, from the start of the clip
    assert samples["q02"].key_seconds == (1.0, 2.0)  # mined
    assert samples["q01"].key_targets == (0.5,) and samples["q02"].key_targets == ((0.75, 1.25), (1.75, 2.25))
    assert samples["q02"].sigma_seconds == pytest.approx(0.5 * 0.75)


def test_bad_questions_are_counted_with_their_reason(root: Path) -> None:
    questions = [question(i, "train") for i in range(6)]
    questions += [question(20, "train", answer=None), question(21, "train", question="cup " * 600)]
    questions += [question(22, "train"), question(23, "dev", start_seconds=0.0)]
    write_project(root, questions)
    write_frames(root / "data/frames", sorted({q.clip_id for q in questions if q.question_id != "q22"}))
    report = run(root, dev_questions=0)
    reasons = {q.item_id: q.reason for q in report.quarantined}
    assert reasons == {"q20": "no_answer", "q21": "prompt_too_long", "q22": "no_frames"}
    assert report.values["questions_train"] == 6


def test_a_prompt_that_an_engine_has_no_room_for_is_left_out(root: Path) -> None:
    questions = [question(i, "train", question="cup " * (200 if i == 3 else 1)) for i in range(6)]
    write_project(root, questions)
    write_frames(root / "data/frames", [q.clip_id for q in questions])
    engine = small_params().machine.engine.model_dump() | {"max_model_len": 200}
    for rollout, left_out in (("transformers", []), ("vllm", ["q03: prompt_too_long"])):
        report = StageReport("train_grpo")
        train_grpo.read_run(small_params(rollout=rollout, engine=engine), root, report)
        assert [f"{q.item_id}: {q.reason}" for q in report.quarantined] == left_out


def test_no_usable_question_stops_before_training(root: Path) -> None:
    write_rows(root / "data/dataset/questions.parquet", [question(1, "test")], Question)
    with pytest.raises(EmptyInput, match="no usable training question"):
        run(root)
    assert not (root / "data/models/policy").exists()


def test_difficulty_keeps_what_the_base_solves_sometimes_and_asks_no_more_than_the_steps_use(root: Path) -> None:
    everything = {"samples": 4, "min_accuracy": 0.0, "max_accuracy": 1.0}
    report = run(root, difficulty=everything)  # two steps of two questions
    assert report.outcomes["difficulty"] == {"kept": 4, "not_asked": 4}
    assert report.values["questions_train"] == 4
    with pytest.raises(EmptyInput, match=r"outside \[0.99, 1.0\] on all 8 questions"):
        run(root, difficulty={"samples": 4, "min_accuracy": 0.99, "max_accuracy": 1.0})


def test_missing_inputs_say_what_makes_them(root: Path) -> None:
    (root / "data/keyframes/keyframes.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"keyframes\.parquet is missing: run `dvc repro`"):
        run(root)
    (root / "data/models/base/config.json").unlink()
    with pytest.raises(ModelError, match="dvc repro prepare_model"):
        run(root)


def test_a_checkpoint_of_other_data_is_refused(root: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.grpo.run.export_policy", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(root)
    assert (root / "data/checkpoints/train_grpo/checkpoint-000002").is_dir()
    write_frames(root / "data/frames", [clip_id("v0", 1.0, 4.0)], frames=6)
    write_frames(root / "data/frames", sorted({question(i, "train").clip_id for i in range(10)}), frames=6)
    with pytest.raises(ModelError, match=r"made with other params, code or data: data/frames"):
        run(root)


def test_the_threads_are_those_of_params(root: Path) -> None:
    before = torch.get_num_threads()
    run(root, threads=1)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


@pytest.mark.slow
def test_two_processes_compute_what_one_computes(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("two") / "project"
    shutil.copytree(root, other)
    difficulty = {"samples": 2, "min_accuracy": 0.0, "max_accuracy": 1.0}
    settings = {"max_steps": 3, "dev_every": 3, "prompts_per_step": 4, "save_steps": 3, "difficulty": difficulty}
    one = run(root, small_params(**settings))
    params = small_params(**settings, launch="torchrun --standalone --nproc_per_node 2")
    (other / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    two = run(other, params)
    assert one.as_dict() == two.as_dict()
    answers = [next((folder / "data/checkpoints/difficulty").iterdir()).read_text() for folder in (root, other)]
    assert len(answers[0].split()) == 4 * 8
    assert sorted(answers[0].splitlines()) == sorted(answers[1].splitlines())
    for name in ("reward", "entropy", "grad_norm", "loss", "completion_length"):
        paths = [folder / f"data/reports/live/train_grpo/plots/metrics/{name}.tsv" for folder in (root, other)]
        left, right = (np.loadtxt(path, skiprows=1) for path in paths)
        assert left.shape == (3, 2)
        np.testing.assert_allclose(left, right, atol=2e-5)
    weights = [load_policy(folder / "data/models/policy").model.state_dict() for folder in (root, other)]
    for name, weight in weights[0].items():
        assert torch.allclose(weight, weights[1][name], atol=1e-3), name
