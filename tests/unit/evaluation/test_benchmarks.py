"""Which questions a benchmark is made of, and results in lmms-eval's form."""

import asyncio
import json
import warnings
from pathlib import Path
from urllib.parse import unquote

import pytest

from pipeline.errors import ArtifactError, EmptyInput, StageError
from pipeline.evaluation.benchmarks import BENCHMARKS
from pipeline.evaluation.benchmarks.base import select_questions
from pipeline.evaluation.benchmarks.size import Whole, stop_if_partial, whole_of
from pipeline.evaluation.lmms import write_lmms
from pipeline.evaluation.scores import IntervalSettings
from pipeline.reports import scored_of
from tests.unit.evaluation.making import make_prediction, make_question

QUESTIONS = [
    make_question(0),
    make_question(1, source="egoschema"),
    make_question(2, source="egoschema", answer=None),
    make_question(3, source="egoplan_val"),
    make_question(4, source="hdepic"),
    make_question(5, source="egoschematic"),
]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("all", ["q0", "q1", "q2", "q3", "q4", "q5"]),
        ("synthetic", ["q0"]),
        ("egoschema_subset", ["q1"]),
        ("egoschema_full", ["q1", "q2"]),
        ("egoplan", ["q3"]),
        ("hd_epic", ["q4"]),
        ("egotaskqa", []),
        ("qaego4d", []),
    ],
)
def test_a_benchmark_takes_its_own_questions(name: str, ids: list[str]) -> None:
    assert [q.question_id for q in select_questions(BENCHMARKS[name], QUESTIONS[::-1])] == ids


def test_a_benchmark_calls_itself_what_params_call_it() -> None:
    assert all(benchmark.name == name for name, benchmark in BENCHMARKS.items())


def test_only_the_full_egoschema_is_handed_in() -> None:
    assert [name for name, benchmark in BENCHMARKS.items() if benchmark.submits] == ["egoschema_full"]


def test_how_much_of_a_benchmark_is_there(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.json"
    path.write_text(json.dumps({"egoschema": {"questions": ["q2", "q0", "q1"], "answered": ["q0", "q1"]}}))
    full, subset = (whole_of(BENCHMARKS[name], path) for name in ("egoschema_full", "egoschema_subset"))
    assert (full, subset) == (Whole(["q2", "q0", "q1"], 2), Whole(["q0", "q1"], 2))
    assert whole_of(BENCHMARKS["egoplan"], tmp_path / "missing") == Whole()
    stop_if_partial(BENCHMARKS["egoschema_full"], QUESTIONS[:2], full, 0.34)
    with pytest.raises(StageError, match=r"2 of the 3 questions of egoschema_full can be asked \(missing: q2"):
        stop_if_partial(BENCHMARKS["egoschema_full"], QUESTIONS[:2], full, 0.3)
    with pytest.raises(ArtifactError, match="run `dvc repro download_videos`"):
        whole_of(BENCHMARKS["egoschema_full"], tmp_path / "missing")


def test_a_part_is_always_called_one() -> None:
    assert scored_of({"questions": 12, "benchmark_questions": 500}) == "12 of 500 questions"
    assert scored_of({"questions": 500, "benchmark_questions": 500}) == scored_of({"questions": 500}) == "500 questions"


def test_lmms_eval_files(tmp_path: Path) -> None:
    questions = {f"q{i}": make_question(i) for i in range(3)}
    rows = [make_prediction(0, 0), make_prediction(1, None), make_prediction(2, None, answer=None)]
    whole = ["p0", "q0", "q1", "p1", "q2"]  # p0 and p1 could not be asked: the others keep their places
    write_lmms(tmp_path, BENCHMARKS["egoschema_full"], rows, questions, IntervalSettings(0.95, 10, 0), "policy", whole)
    assert {p.name for p in tmp_path.iterdir()} == {"egovlm_results.json", "egovlm_samples_egoschema.jsonl"}
    results = json.loads((tmp_path / "egovlm_results.json").read_text())
    assert results["results"]["egoschema"]["score,none"] == 0.5
    assert results["n-samples"]["egoschema"] == {"original": 5, "effective": 2}
    lines = [json.loads(line) for line in (tmp_path / "egovlm_samples_egoschema.jsonl").read_text().splitlines()]
    assert [(line["doc_id"], line["target"], line["filtered_resps"], line["score"]) for line in lines] == [
        (1, "A", "A", 1.0), (2, "B", "", 0.0), (4, "", "", 0.0)
    ]  # fmt: skip
    assert lines[0]["doc"]["option"][1] == "B. blue"


def test_lmms_eval_itself_reads_what_we_write(tmp_path: Path) -> None:
    """Its server lists the run and pages its samples; its baseline loader finds scores and aggregate."""
    with warnings.catch_warnings(action="ignore"):  # its own, on import
        missing = "lmms-eval 0.7.3 is not installed here"
        server = pytest.importorskip("lmms_eval.tui.server", reason=missing, exc_type=ImportError)
        loader = pytest.importorskip("lmms_eval.baselines.loader", reason=missing, exc_type=ImportError)
    rows = [make_prediction(i, 0) for i in range(3)]
    questions = {f"q{i}": make_question(i) for i in range(3)}
    for model in ("base", "policy"):
        write_lmms(
            tmp_path / model,
            BENCHMARKS["egoschema_subset"],
            rows,
            questions,
            IntervalSettings(0.95, 10, 0),
            model,
            [*questions],
        )
    runs = asyncio.run(server.list_log_runs(str(tmp_path)))
    assert {(run.model_name, tuple(run.tasks)) for run in runs} == {
        (m, ("egoschema_subset",)) for m in ("base", "policy")
    }
    assert runs[0].metrics["egoschema_subset"]["score,none"] == pytest.approx(1 / 3)
    name = unquote(runs[0].run_id)
    page = asyncio.run(server.get_log_run_samples(name, "egoschema_subset", str(tmp_path), 0, 2))
    assert (page.total, [sample["target"] for sample in page.samples]) == (3, ["A", "B"])
    samples = tmp_path / "policy/egovlm_samples_egoschema_subset.jsonl"
    scores, aggregate = loader.load_baseline(str(samples), "egoschema_subset")
    assert scores == {0: 1.0, 1: 0.0, 2: 0.0}
    assert aggregate is not None


def test_lmms_eval_has_no_accuracy_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(EmptyInput):
        write_lmms(tmp_path, BENCHMARKS["all"], [], {}, IntervalSettings(0.95, 10, 0), "policy", [])
