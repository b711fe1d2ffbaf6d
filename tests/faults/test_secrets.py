"""No token of the environment, and no signature of a link, stands in anything that a run wrote."""

import subprocess
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.sources.urls import UrlsParams, UrlsSource
from tests.faults.campaign import make_tiny, undisturbed
from tests.faults.harness import stages_of

MARK = "PLANTEDSECRET"
SECRETS = {
    "HF_TOKEN": f"hf_{MARK}0000000000000000000000",
    "HUGGING_FACE_HUB_TOKEN": f"hf_{MARK}1111111111111111111111",
    "AWS_ACCESS_KEY_ID": f"AKIA{MARK}",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}aws0000000000000000000000000",
    "AWS_SESSION_TOKEN": f"{MARK}session",
    "KAGGLE_KEY": f"{MARK}kaggle",
    "KAGGLE_USERNAME": f"{MARK}user",
    "WANDB_API_KEY": f"{MARK}{'0' * 27}",
    "PREFECT_API_KEY": f"pnu_{MARK}",
}


def holding(root: Path) -> list[str]:
    """Files below `root` that hold the mark, plain or zlib-compressed; and git objects of any ref."""
    found = []
    for path in root.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        with suppress(zlib.error):
            content += zlib.decompress(content)
        if MARK.encode() in content:
            found.append(path.relative_to(root).as_posix())
    objects = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch"], cwd=root, capture_output=True, check=True
    ).stdout
    return found + (["a git object"] if MARK.encode() in objects else [])


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_whole_run_writes_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    project = make_tiny(tmp_path / "project")
    project.change({"machine.wandb_project": "egovlm"})
    with stages_of(project) as stages:
        undisturbed(stages)
    project.run("dvc", "commit", "--force", "--quiet")
    project.run("dvc", "exp", "save", "--force", "--name", "secrets")
    assert (project.root / "data/checkpoints/wandb").is_dir()
    assert holding(project.root) == []
    (project.root / "data/canary").write_text(SECRETS["HF_TOKEN"])  # the search can find one
    assert holding(project.root) == ["data/canary"]


def test_a_links_signature_reaches_no_manifest_and_no_journal(tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(
        f'{{"video_id": "a", "url": "https://u:{MARK}@h.invalid/a.mp4?X-Amz-Signature={MARK}", "bytes": 1}}\n'
    )
    params = UrlsParams.model_validate(
        {"kind": "urls", "manifest": str(manifest), "questions": "q.jsonl", "format": "native", "frame_rate": None,
         "split": "test", "licence": "l", "retries": 0, "timeout_seconds": 1.0, "max_bytes": 10}
    )  # fmt: skip
    (item,) = UrlsSource("u", 0, params).list_videos()
    shown = f"{item.video_id} {item.filename} {item.parent_video_id} {item.licence}"
    assert MARK not in shown + UrlsSource("u", 0, params).fingerprint(item)
