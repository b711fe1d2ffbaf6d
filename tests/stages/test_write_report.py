"""Stage write_report on the artifacts of a small run."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.report_run import Size, make_run


def _run(root: Path, repository: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pipeline.stages", "write_report"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_stage_writes_page_card_and_report(tmp_path: Path, repository: Path) -> None:
    make_run(tmp_path, Size(questions=12))
    (tmp_path / "params.yaml").write_text((repository / "params.yaml").read_text("utf-8"), "utf-8")
    done = _run(tmp_path, repository)
    assert (done.returncode, done.stderr) == (0, "")
    reports = tmp_path / "data/reports"
    report = json.loads((reports / "write_report.json").read_text("utf-8"))
    page = (reports / "index.html").read_bytes()
    assert report["values"]["page_bytes"] == len(page)
    digest = report["values"]["inputs"]["data/predictions/predictions.parquet"]
    assert digest[:16].encode() in page
    assert (reports / "model_card.md").read_text("utf-8").startswith("---\n")
    assert not list(reports.glob("*.partial"))
    _run(tmp_path, repository)
    assert (reports / "index.html").read_bytes() == page


def test_without_predictions_the_page_is_made_and_the_report_counts_what_is_missing(
    tmp_path: Path, repository: Path
) -> None:
    make_run(tmp_path, Size(questions=6))
    (tmp_path / "data/predictions/predictions.parquet").unlink()
    (tmp_path / "params.yaml").write_text((repository / "params.yaml").read_text("utf-8"), "utf-8")
    assert _run(tmp_path, repository).returncode == 0
    report = json.loads((tmp_path / "data/reports/write_report.json").read_text("utf-8"))
    assert any("predictions.parquet is missing" in note for note in report["outcomes"]["note"])
    assert report["outcomes"]["question"] == {"shown": 6}
