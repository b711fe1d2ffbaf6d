"""The page: whole, deterministic, without requests, safe against hostile text, honest about what is missing."""

import gzip
import json
import re
import shutil
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.inputs import ReportInputs, read_inputs
from pipeline.report.page import SCRIPTS, asset, embed, render
from tests.support.report_run import HOSTILE, SETTINGS, Size, make_run


class Elements(HTMLParser):
    """Tags with their attributes, and the content of elements that have an id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.content: dict[str, str] = {}
        self._id: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._id = dict(attrs).get("id")

    def handle_data(self, data: str) -> None:
        if self._id:
            self.content[self._id] = self.content.get(self._id, "") + data


def _rows(page: Elements) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(gzip.decompress(b64decode(page.content["questions"])))
    return rows


def test_the_page_asks_nothing_of_anyone(inputs: ReportInputs) -> None:
    page = Elements(render(inputs, SETTINGS))
    places = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert len(places) > 6
    assert all(re.match(r"#|data:image/jpeg|\.\./dataset/|\w+_card\.md$", place or "") for place in places)
    assert not re.search(
        r"fetch\(|XMLHttpRequest|import\(|innerHTML|insertAdjacentHTML|document\.write|eval\(", _script()
    )
    assert "url(http" not in asset("style.css")


def _script() -> str:
    return "\n".join(asset(name) for name in SCRIPTS)


def test_hostile_text_opens_no_element(inputs: ReportInputs) -> None:
    html = render(inputs, SETTINGS)
    page = Elements(html)
    assert [tag for tag, _ in page.tags].count("script") == 4  # three with data, one with code
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert "&lt;/script&gt;&lt;script&gt;window.hacked" in html  # in the quarantine table
    hostile = next(row for row in _rows(page) if row["id"] == "q-00000")
    assert hostile["question"] == HOSTILE + "?"
    assert HOSTILE in hostile["policy"]["completion"]


def test_embedded_json_cannot_end_its_element() -> None:
    text = embed({"a": "</script><!-- & \u2028"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!-- & \u2028"}


def test_only_the_own_script_may_run(inputs: ReportInputs) -> None:
    page = Elements(render(inputs, SETTINGS))
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "content" in a and "default-src" in str(a))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", policy)


def test_same_inputs_same_bytes_wherever_they_lie(run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "elsewhere/data/frames")
    shutil.copytree(run_folder, tmp_path / "third")
    shutil.rmtree(tmp_path / "third/data/frames")
    first, second = (render(read_inputs(tmp_path / name), SETTINGS) for name in ("elsewhere", "third"))
    assert first == second
    assert str(tmp_path) not in first
    assert render(read_inputs(run_folder), SETTINGS) == render(read_inputs(run_folder), SETTINGS)


def test_a_folder_without_anything_gives_a_page_that_says_so(tmp_path: Path) -> None:
    inputs = read_inputs(tmp_path)
    html = render(inputs, SETTINGS)
    assert "No score yet" in html
    assert "No training curves" in html
    assert "No questions to show" in html
    assert "data/predictions/predictions.parquet is missing" in html
    assert str(tmp_path) not in html


def test_missing_frames_are_named_per_question(inputs: ReportInputs) -> None:
    page = Elements(render(inputs, SETTINGS))
    rows = {row["id"]: row for row in _rows(page)}
    strips = json.loads(page.content["strips"])
    assert "frames of this clip are missing" in rows["q-00029"]["frames_note"]
    assert rows["q-00001"]["clip"] in strips
    assert strips[rows["q-00001"]["clip"]]["pts"] == [0.5, 2.0, 3.5, 5.0, 6.5, 7.9]
    assert b64decode(strips[rows["q-00001"]["clip"]]["jpeg"])[:2] == b"\xff\xd8"


def test_only_the_first_questions_come_with_frames(inputs: ReportInputs) -> None:
    few = SETTINGS.model_copy(update={"gallery_questions": 3})
    page = Elements(render(inputs, few))
    rows = _rows(page)
    assert set(json.loads(page.content["strips"])) == {row["clip"] for row in rows[:3]}
    assert "raise write_report.gallery_questions" in rows[5]["frames_note"]


def test_recall_and_quarantine_are_on_the_page(inputs: ReportInputs) -> None:
    html = render(inputs, SETTINGS)
    assert "no_video_stream" in html
    assert "q-00003" in html
    assert html.count("frames of a quarantined item") == 1
    assert "true key times in" in html
    assert "the shortest option" in html


@pytest.mark.parametrize("name", ["metrics.json", "controls.json"])
def test_a_torn_report_is_a_note(tmp_path: Path, name: str) -> None:
    make_run(tmp_path, Size(questions=6))
    (tmp_path / "data/reports" / name).write_text("{", encoding="utf-8")
    assert f"data/reports/{name} is not JSON" in render(read_inputs(tmp_path), SETTINGS)


def test_every_stage_says_what_became_of_its_items_and_the_wandb_run_is_named(tmp_path: Path) -> None:
    make_run(tmp_path, Size(questions=6))
    path = tmp_path / "data/reports/train_grpo.json"
    report = json.loads(path.read_text("utf-8"))
    report["values"]["wandb"] = {"project": "p", "run": "abc", "sync": "wandb sync data/checkpoints/wandb/wandb/*-abc"}
    path.write_text(json.dumps(report), encoding="utf-8")
    html = render(read_inputs(tmp_path), SETTINGS)
    assert html.count("<small>item: 5 ok</small>") == 8
    assert "<code>wandb sync data/checkpoints/wandb/wandb/*-abc</code>" in html
    path.write_text(json.dumps(report | {"values": {}}), encoding="utf-8")
    assert "wandb sync" not in render(read_inputs(tmp_path), SETTINGS)


def test_each_video_is_found_from_the_page(inputs: ReportInputs) -> None:
    assert inputs.videos["video-0000"] == "../../inputs/clips/video-0000.mp4"
    assert inputs.videos["video-0001"] == "../raw/videos/video-0001%201.mp4"
