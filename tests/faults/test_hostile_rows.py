"""Foreign annotations: whatever a file holds, a row is an Annotation or a BadRow, and a file is read or refused."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import StageError
from pipeline.records import Annotation, Quarantined, is_safe_id, read_rows, write_rows
from pipeline.reports import StageReport
from pipeline.sources.base import BadRow
from pipeline.sources.formats import READERS, Names, Reading
from pipeline.sources.rows import annotate, read_located
from tests.faults.budget import EXAMPLES
from tests.faults.mutate import mutated

READING = Reading("foreign", "unknown", "train", 30.0, Names({"a.mp4": "a", "a": "a"}))

TEXTS = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=()), max_size=40),  # lone surrogates, NUL, everything
    st.sampled_from(["", " ", "a.mp4", "../../etc/passwd", "/etc/passwd", "C:\\x", "a\0b", "\ud800", "00:00:01",
                     "1e999", "nan", "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "\x1b]0;owned\x07",
                     "A. x\nB. y\nC. z"]),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.just(-1), st.floats(), TEXTS,
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
FIELDS = {
    "native": ["question_id", "id", "video", "video_id", "question", "options", "answer", "answer_text",
               "start_seconds", "end_seconds", "keyframes_s", "family", "licence", "split", "option_0", "option_1"],
    "egoit": ["id", "video", "conversations", "start_frame", "end_frame", "fps", "start_time", "end_time"],
    "egoplan": ["sample_id", "video_id", "task_goal", "question", "choice_a", "choice_b", "choice_c", "choice_d",
                "golden_choice_idx", "answer", "negative_answers", "current_observation_frame",
                "task_progress_metadata", "task_start_frame"],
    "egotaskqa": ["question_id", "id", "interval", "question", "answer", "category", "video_id", "video", "start",
                  "end", "type", "direct_answer"],
    "hd_epic": ["id", "inputs", "question", "choices", "correct_idx", "video 1", "start_time", "end_time"],
    "qaego4d": ["sample_id", "video_id", "video_start_sec", "video_end_sec", "question", "answer", "moment_start_frame",
                "moment_end_frame", "canonical_video_id", "options"],
    "egotimeqa": ["sample_id", "video_id", "question", "answer", "moment_start_frame", "moment_end_frame"],
    "egoexolearn": ["id", "conversations", "image", "video"],
    "egotempo": ["question_id", "clip_id", "question_type", "question", "answer"],
    "nextqa": ["video", "qid", "type", "question", "answer", "a0", "a1", "a2", "a3", "a4", "frame_count"],
}  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {
    "native": {"id": "q", "video": "a.mp4", "question": "what?", "options": ["a", "b", "c", "d", "e"], "answer": 1},
    "egoit": {"id": "q", "video": "a.mp4", "conversations": [{"from": "human", "value": "what?"},
              {"from": "gpt", "value": "x"}]},
    "egoplan": {"sample_id": 1, "video_id": "a", "task_goal": "cook", "choice_a": "a", "choice_b": "b", "choice_c": "c",
                "choice_d": "d", "golden_choice_idx": "A", "current_observation_frame": 30},
    "egotaskqa": {"question_id": "q", "interval": "a|0|30", "question": "what?", "answer": "x"},
    "hd_epic": {"id": "q", "inputs": {"video 1": {"id": "a", "start_time": "00:00:01", "end_time": "00:00:02"}},
                "question": "what?", "choices": ["a", "b", "c", "d", "e"], "correct_idx": 1},
    "qaego4d": {"sample_id": 1, "video_id": "a", "question": "what?", "answer": "x", "options": ["x", "y"]},
    "egotimeqa": {"sample_id": 1, "video_id": "a", "question": "what?", "answer": "x"},
    "egoexolearn": {"id": "q", "image": {"video": "a.mp4"}, "conversations": [
        {"from": "human", "value": "what?\n(A) x\n(B) y"}, {"from": "gpt", "value": "B"}]},
    "egotempo": {"question_id": "q", "clip_id": "27470817-f803-45b4-b9d4-e754cb3196bc_1.5_9.5", "question": "what?",
                 "answer": "x"},
    "nextqa": {"video": "a", "qid": 1, "type": "CH", "question": "what?", "answer": 1, "a0": "x", "a1": "y"},
}  # fmt: skip


def rows_of(form: str) -> st.SearchStrategy[dict[str, Any]]:
    """A good row of the form with some of its fields replaced by anything."""
    return st.dictionaries(st.sampled_from(FIELDS[form]) | TEXTS, VALUES, max_size=6).map(lambda d: {**GOOD[form], **d})


def read(path: Path, form: str) -> list[Annotation | BadRow]:
    return list(annotate(read_located(path), lambda row: READERS[form](row, READING)))


def check(found: list[Annotation | BadRow], folder: Path) -> None:
    """What came through can be stored and names nothing outside its folder; what did not can be reported."""
    report = StageReport("download_videos")
    rows = []
    for row in found:
        if isinstance(row, BadRow):
            assert row.reason != "unexpected", row.detail
            report.quarantine("question", row.item_id, row.reason, row.detail)
        else:
            assert is_safe_id(row.question_id) and is_safe_id(row.video_id)
            rows.append(row)
    write_rows(folder / "rows.parquet", rows, Annotation)
    assert read_rows(folder / "rows.parquet", Annotation) == rows
    report.write(folder)
    write_rows(folder / "ledger.parquet", report.quarantined, Quarantined)
    for bad in report.quarantined:
        assert not any(ord(c) < 32 or ord(c) == 127 for c in bad.item_id + bad.detail)


@pytest.mark.parametrize("form", sorted(READERS))
def test_any_json_row(form: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp(form)

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(st.lists(rows_of(form), min_size=1, max_size=3))
    def fuzz(rows: list[dict[str, Any]]) -> None:
        path = folder / "q.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        check(read(path, form), folder)

    fuzz()


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_any_bytes(suffix: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp(suffix)
    path = folder / f"q.{suffix}"
    good = whole_file(path)

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(mutated(good))
    def fuzz(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(StageError):  # refused as a whole, with a reason
            check(read(path, "native"), folder)

    fuzz()


def whole_file(path: Path) -> bytes:
    """A good file of the kind that `path` names."""
    rows = [{**GOOD["native"], "id": f"q{i}", "question": f"what {i}?"} for i in range(3)]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix in (".csv", ".tsv"):
        cut = "," if path.suffix == ".csv" else "\t"
        path.write_text(
            f'id{cut}video{cut}question{cut}options{cut}answer\nq1{cut}a.mp4{cut}what?{cut}"[""a"",""b""]"{cut}1\n'
        )
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return path.read_bytes()
