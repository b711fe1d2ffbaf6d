"""Which questions a benchmark is made of, and results in lmms-eval's form."""

import json
from pathlib import Path
from typing import get_args

import pytest

from pipeline.errors import EmptyInput
from pipeline.evaluation.benchmarks import BENCHMARKS
from pipeline.evaluation.benchmarks.base import select
from pipeline.evaluation.lmms import write_lmms
from pipeline.evaluation.scores import Judge
from pipeline.params import EvaluateEgoschema
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
    assert [q.question_id for q in select(BENCHMARKS[name], QUESTIONS[::-1])] == ids


def test_params_know_every_benchmark() -> None:
    assert get_args(EvaluateEgoschema.model_fields["benchmark"].annotation) == tuple(BENCHMARKS)
    assert all(benchmark.name == name for name, benchmark in BENCHMARKS.items())


def test_only_the_full_egoschema_is_handed_in() -> None:
    assert [name for name, benchmark in BENCHMARKS.items() if benchmark.submits] == ["egoschema_full"]
    assert (BENCHMARKS["egoschema_subset"].size, BENCHMARKS["egoschema_full"].size) == (500, 5031)


def test_lmms_eval_files(tmp_path: Path) -> None:
    questions = {f"q{i}": make_question(i) for i in range(3)}
    rows = [make_prediction(0, 0), make_prediction(1, None), make_prediction(2, None, answer=None)]
    write_lmms(tmp_path, BENCHMARKS["egoschema_full"], rows, questions, Judge(0.95, 10, 0), "policy")
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["results"]["egoschema"]["score,none"] == 0.5
    assert results["n-samples"]["egoschema"] == {"original": 5031, "effective": 2}
    lines = [json.loads(line) for line in (tmp_path / "egoschema_samples.jsonl").read_text().splitlines()]
    assert [(line["target"], line["filtered_resps"], line["score"]) for line in lines] == [
        ("A", ["A"], 1.0), ("B", [""], 0.0), ("", [""], 0.0)
    ]  # fmt: skip
    assert lines[0]["doc"]["option"][1] == "B. blue"


def test_lmms_eval_has_no_accuracy_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(EmptyInput):
        write_lmms(tmp_path, BENCHMARKS["all"], [], {}, Judge(0.95, 10, 0), "policy")
