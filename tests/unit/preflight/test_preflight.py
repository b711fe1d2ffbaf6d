"""What stands in the way of a run is known before it starts: files, devices, the base model, memory, disk."""

import json
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pipeline.params import Params, load_params, parse_params
from pipeline.preflight.budget import check_disk, check_gpu_memory, disk, gpu_memory
from pipeline.preflight.check import preflight
from pipeline.preflight.findings import Finding
from pipeline.preflight.model import BaseModel, check_base, counted
from pipeline.preflight.settings import has_dev_split
from pipeline.profiles import merge_overlay, read_profile
from pipeline.train_params import Lora
from tests.support.data_world import clip, egoschema_params, local_params, row, write_jsonl
from tests.support.fault_server import sha256
from tests.support.published_shapes import PUBLISHED
from tests.support.random_policy import make_random_policy

ROOT = Path(__file__).resolve().parents[3]


def full(**changes: Any) -> Params:
    """The full profile, with values by dotted key."""
    return profiled("full", **changes)


def profiled(*names: str, **changes: Any) -> Params:
    """Params with profiles laid over each other, and values by dotted key."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    overlays = [read_profile(ROOT, name) for name in names]
    raw = yaml.safe_load(merge_overlay(text, *overlays, check=lambda raw: None))
    for key, value in changes.items():
        section, _, name = key.partition("__")
        raw[section][name] = value
    return parse_params(raw)


def states(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.name: finding.state for finding in findings}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, two cores, and a hub that nobody reaches."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


def test_nothing_stands_in_the_way_of_the_embedded_default(repository: Path) -> None:
    assert preflight(load_params(repository / "params.yaml"), repository) == []


def test_a_tiny_base_is_made_of_known_families_alone(repository: Path) -> None:
    raw = load_params(repository / "params.yaml").model_dump()
    for name, states in (("qwen3_vl", []), ("qwen9_vl", ["fail"])):
        raw["prepare_model"]["tiny"]["family"] = name
        found = [f for f in preflight(parse_params(raw), repository) if f.name == "tiny base"]
        assert [f.state for f in found] == states
    assert "qwen2_5_vl, qwen3_vl" in found[0].found


def test_the_full_profile_on_a_laptop_without_inputs(tmp_path: Path) -> None:
    found = preflight(full(), tmp_path)
    assert states(found) == {
        "egoit": "fail", "egoschema": "fail", "leakage": "fail", "cores": "warn", "device": "fail", "base model": "fail"
    }  # fmt: skip
    by_name = {finding.name: finding for finding in found}
    assert "inputs/egoit/videos" in by_name["egoit"].found
    assert "machine.device is cuda, but torch sees no CUDA device" in by_name["device"].found
    assert "hub cannot be reached" in by_name["base model"].found
    assert all(finding.mend for finding in found)
    assert all(finding.stages for finding in found if finding.state == "fail")


def test_a_hub_model_is_not_put_on_the_cpu_by_auto(tmp_path: Path) -> None:
    auto, meant = (preflight(full(machine__device=device), tmp_path) for device in ("auto", "cpu"))
    assert "would run on the CPU" in next(finding for finding in auto if finding.name == "device").found
    assert "device" not in states(meant)


def test_every_split_that_the_profile_asks_for_is_there() -> None:
    assert has_dev_split(full())
    assert not has_dev_split(full(prepare_questions__splits={"train": 1.0, "dev": 0.0}))


def test_a_tiny_base_that_is_taught_something_else_is_said_so(tmp_path: Path) -> None:
    given = load_params(ROOT / "params.yaml")
    assert "tiny base" not in states(preflight(given, tmp_path))
    tiny = given.prepare_model.tiny.model_copy(update={"families": ("moved", "count")})
    other = given.model_copy(
        update={
            "prepare_model": given.prepare_model.model_copy(update={"tiny": tiny}),
            "extract_frames": given.extract_frames.model_copy(update={"frames_per_clip": 8}),
        }
    )
    said = [finding.found for finding in preflight(other, tmp_path) if finding.name == "tiny base"]
    assert said == [
        "taught 6 frames a clip, extract_frames gives 8",
        "never taught the families taken, which a synthetic source asks",
    ]


def test_packages_and_programs_that_params_name(tmp_path: Path) -> None:
    params = full(train_grpo__rollout="vllm", machine__launch="no-such-launcher --n 2")
    said = "; ".join(finding.found for finding in preflight(params, tmp_path))
    assert "train_grpo.rollout is vllm: no engine in" in said
    assert "machine.launch: the program no-such-launcher was not found" in said


# --- sources ----------------------------------------------------------------------------------------------------------


def with_sources(bad: float = 0.05, **sources: Any) -> Params:
    params = load_params(ROOT / "params.yaml")
    section = params.download_videos.model_copy(update={"sources": sources})
    return params.model_copy(update={"download_videos": section, "max_bad_fraction": bad})


def test_a_local_folder_without_videos(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "q.jsonl").write_text("")
    params = with_sources(mine=local_params(Path("clips"), Path("q.jsonl")))
    assert "no video in" in next(f for f in preflight(params, tmp_path) if f.name == "mine").found
    clip(tmp_path / "clips/deep/a.mp4", frames=2)
    assert "1 videos" in next(f for f in preflight(params, tmp_path) if f.name == "mine").found
    leaks = [finding.found for finding in preflight(params, tmp_path) if finding.name == "leakage"]
    assert len(leaks) == 1
    assert "set validate_dataset.egoschema_windows" in leaks[0]  # the stage would say so after the frames are made


def test_how_much_of_the_training_data_is_there(tmp_path: Path) -> None:
    """Rows on videos that nobody has are a choice and said; if that is true of all, folder and rows do not match."""
    clip(tmp_path / "clips/a.mp4", frames=2)
    params = with_sources(mine=local_params(Path("clips"), Path("q.jsonl")))

    def look(*videos: str) -> Finding:
        write_jsonl(tmp_path / "q.jsonl", [row(f"q{i}", video) for i, video in enumerate(videos)])
        return next(finding for finding in preflight(params, tmp_path) if finding.name == "mine")

    assert (look("a.mp4").state, look("a.mp4").found.split("; ")[1]) == ("ok", "1 of 1 questions are on them")
    some = look("a.mp4", "b.mp4", "c.mp4", "b.mp4")
    assert some.state == "warn"
    assert some.found.endswith("1 of 4 questions are on them, 3 on 2 that are not there (b.mp4 ...) and not taken")
    assert look("b.mp4").state == "fail"


def test_how_much_of_the_benchmark_is_there(tmp_path: Path) -> None:
    uids = [f"u{i}" for i in range(4)]
    rows = [{"q_uid": u, "question": "What?", **{f"option {i}": f"{u} {i}" for i in range(5)}} for u in uids]
    (tmp_path / "q.json").write_text(json.dumps(rows))
    windows = {u: {"video_uid": "rec", "starting_sec": 0, "ending_sec": 1} for u in uids}
    (tmp_path / "w.json").write_text(json.dumps(windows))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/u0.mp4").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "videos/a.zip", "w") as archive:
        archive.writestr("videos/u1.mp4", b"")
    files = {"questions": "q.json", "questions_sha256": sha256(tmp_path / "q.json"), "answers": None,
             "windows": "w.json", "videos": "videos", "layout": "auto"}  # fmt: skip
    benchmark = egoschema_params(**files)

    def look(bad: float, **changes: Any) -> Finding:
        params = with_sources(bad, egoschema=benchmark.model_copy(update=changes))
        return next(finding for finding in preflight(params, tmp_path) if finding.name == "egoschema")

    assert look(0.05).state == "fail"
    told = "2 of 4 videos are not in videos (first u2); a score on 2 is no score of EgoSchema, and is uncertain by"
    assert look(0.05).found == f"{told} 69 points"
    assert look(0.05).mend == "get them; up to 5% may be missing (max_bad_fraction)"
    assert look(0.5).state == "warn"
    assert look(0.5, layout="files").found.startswith("3 of 4 videos")
    assert "another version of EgoSchema" in look(0.5, questions_sha256="0" * 64).found


# --- the base model ---------------------------------------------------------------------------------------------------


def test_a_base_of_a_local_folder_is_looked_at_without_its_weights(tmp_path: Path) -> None:
    made = make_random_policy()
    made.model.save_pretrained(tmp_path / "base")
    made.tokenizer.save_pretrained(tmp_path / "base")
    (tmp_path / "base/model.safetensors").unlink()
    params = full(prepare_model__hub={"model": "base", "revision": None})
    base, (found,) = check_base(params, tmp_path)
    assert found.state == "ok"
    assert base is not None
    assert base.parameters == sum(weight.numel() for weight in made.model.parameters())
    assert base.vision_parameters == sum(weight.numel() for weight in made.model.model.visual.parameters())
    (tmp_path / "base/chat_template.jinja").write_text("{% for m in messages %}{{ m['role'] }}{% endfor %}")
    base, (found,) = check_base(params, tmp_path)
    assert base is None
    assert "must write exactly one <|video_pad|>" in found.found


@pytest.fixture(scope="module")
def three_billion() -> BaseModel:
    """Qwen2.5-VL-3B's published shape."""
    return counted(PUBLISHED["full"][0])


def table_row(profile: str) -> list[str]:
    """Of docs/scaling.md's table of other models."""
    page = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{profile}`"))
    return [cell.strip(" *") for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("profile", list(PUBLISHED))
def test_published_shapes_have_the_published_number_of_weights_and_the_documented_memory(profile: str) -> None:
    """Built on the meta device: nothing is allocated. The page's figures are those that `egovlm doctor` computes."""
    config, published = PUBLISHED[profile]
    model = counted(config)
    assert model.parameters == published
    overlays = ["full"] if profile == "full" else ["full", profile]
    whole = gpu_memory(model, profiled(*overlays, train_grpo__weights="float32"))
    half = gpu_memory(model, profiled(*overlays, train_grpo__weights="bfloat16"))
    lora = {"rank": 16, "alpha": 32, "targets": ["q_proj", "k_proj", "v_proj", "o_proj"]}
    adapter = gpu_memory(model, profiled(*overlays, train_grpo__weights="float32", train_grpo__lora=lora))
    _, weights, *told, kept, _ = table_row(profile)
    assert (
        weights.removesuffix(" billion") == f"{published / 1e9:.2f}, {(published - model.vision_parameters) / 1e9:.2f}"
    )
    assert told == [f"{need['peak']:.1f}" for need in (whole, half, adapter)]
    assert kept == f"{whole['keys and values']:.1f}"


def test_memory_and_disk_of_the_3b_by_hand(three_billion: BaseModel) -> None:
    assert (three_billion.parameters, three_billion.vision_parameters) == (3_754_622_976, 668_684_288)
    need = gpu_memory(three_billion, full())
    by_hand = {"weights": 15.0, "gradients": 12.3, "Adam": 24.7, "autocast copies": 6.2, "keys and values": 7.0}
    assert {name: round(need[name], 1) for name in by_hand} == by_hand
    assert need["peak"] == pytest.approx(15.0 + 24.7 + 6.2 + 12.3 + 3.0, abs=0.1)
    half = gpu_memory(three_billion, full(train_grpo__weights="bfloat16"))
    by_hand = {"weights": 7.5, "gradients": 6.2, "Adam": 12.3, "keys and values": 7.0}
    assert {name: round(half[name], 1) for name in by_hand} == by_hand
    assert "autocast copies" not in half
    assert half["peak"] == pytest.approx(7.5 + 12.3 + 6.2 + 3.0, abs=0.1)
    assert disk(three_billion, full(train_grpo__weights="bfloat16"))["2 checkpoints"] == pytest.approx(39.7, abs=0.1)
    sizes = disk(three_billion, full())
    assert {name: round(size, 1) for name, size in sizes.items()} == {
        "base": 22.5, "policy": 15.0, "2 checkpoints": 79.4, "best weights": 15.0
    }  # fmt: skip


def test_a_card_that_is_too_small_is_told_and_an_adapter_fits(
    three_billion: BaseModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lora = Lora(rank=16, alpha=32, targets=("q_proj", "k_proj", "v_proj", "o_proj"))

    def state(gigabytes: float, params: Params) -> str:
        card = type("Card", (), {"total_memory": gigabytes * 1e9})()
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
        (found,) = check_gpu_memory(params, tmp_path, three_billion)
        return found.state

    assert [state(size, full()) for size in (24, 65, 80)] == ["fail", "warn", "ok"]
    assert state(40, full(train_grpo__weights="bfloat16")) == "ok"
    assert state(24, full(train_grpo__lora=lora.model_dump())) == "ok"


def test_a_disk_that_is_too_small_is_told(
    three_billion: BaseModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data/models").mkdir(parents=True)
    with (tmp_path / "data/models/policy").open("wb") as file:
        file.truncate(5_000_000_000)  # sparse: an earlier run's, which the new one replaces
    for free, state in ((100e9, "fail"), (126e9, "fail"), (128e9, "ok"), (300e9, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: shutil._ntuple_diskusage(0, 0, int(free)))
        (found,) = check_disk(full(), tmp_path, three_billion)
        assert found.state == state
        assert "models need about 132 GB" in found.found
        assert "3.0 MB per clip" in found.found
