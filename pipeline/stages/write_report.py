"""Write the report for people, data/reports/index.html, and the model card beside it."""

from pathlib import Path

from pipeline.files import write_text
from pipeline.layout import MODEL_CARD, PAGE
from pipeline.params import Params
from pipeline.report.card import model_card
from pipeline.report.inputs import read_inputs
from pipeline.report.page import render
from pipeline.reports import StageReport


def run(params: Params, root: Path, report: StageReport) -> None:
    """Write data/reports/index.html and model_card.md."""
    inputs = read_inputs(root)
    page = render(inputs, params.write_report)
    write_text(root / PAGE, page)
    write_text(root / MODEL_CARD, model_card(inputs))
    report.count("question", "shown", len(inputs.questions))
    for note in inputs.notes:
        report.count("note", note)
    report.values = {"inputs": inputs.hashes, "page_bytes": len(page.encode())}
