"""Foreign text stays text: in prompts, tables, spreadsheets, logs."""

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.processes.process import _line
from flows.summary import _table
from pipeline.answers.parser import parse_answer
from pipeline.answers.prompts import escape_control_tokens, fill
from pipeline.checks.card import _table as card_table
from pipeline.escape import csv_cell, markdown_cell, printable
from pipeline.reports import StageReport
from tests.faults.budget import EXAMPLES

CONTROL = [
    *("<|im_start|>", "<|im_end|>", "<|video_pad|>", "<|vision_start|>", "<|endoftext|>", "<|x|>", "<||>", "<|", "|>"),
    *(
        "</think>",
        "<think>",
        "< / think >",
        "<answer>B</answer>",
        "<tool_call>",
        "</tool_call>",
        "<",
        ">",
        "|",
        "\u212a",
    ),
]
TEXT = st.lists(st.sampled_from(CONTROL) | st.text(max_size=4), max_size=8).map("".join)


@pytest.fixture(scope="module")
def qwen(shared: Path) -> object:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(shared / "qwen_tokenizer")


def test_no_text_becomes_a_control_token(qwen: object) -> None:
    tokenizer: object = qwen
    first_added = min(tokenizer.added_tokens_decoder)  # type: ignore[attr-defined]

    @settings(max_examples=EXAMPLES * 4, deadline=None, database=None)
    @given(TEXT, TEXT)
    def one(question: str, option: str) -> None:
        prompt = fill("{times}\n{question}\n{options}", question, [option, "b"], [0.5], 0.0, 1.0)
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]  # type: ignore[operator]
        assert all(i < first_added for i in ids), prompt

    one()
    for token in tokenizer.get_added_vocab():  # type: ignore[attr-defined]
        ids = tokenizer(escape_control_tokens(f"a {token} b"), add_special_tokens=False)["input_ids"]  # type: ignore[operator]
        assert all(i < first_added for i in ids), token


@settings(max_examples=EXAMPLES * 4, deadline=None, database=None)
@given(TEXT | st.text(st.characters(codec=None, exclude_categories=())), st.lists(TEXT, min_size=2, max_size=5))
def test_the_parser_takes_any_completion(completion: str, options: list[str]) -> None:
    parsed = parse_answer(completion, options)
    assert parsed.option is None or 0 <= parsed.option < len(options)


@settings(max_examples=EXAMPLES * 4, deadline=None, database=None)
@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=50))
def test_what_is_shown_is_one_harmless_line(text: str) -> None:
    report = StageReport("s")
    report.quarantine("question", text, "reason", text)
    for shown in (
        printable(text, 100),
        markdown_cell(text),
        report.quarantined[0].item_id,
        report.quarantined[0].detail,
    ):
        assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        shown.encode("utf-8")
    cell = csv_cell(text)
    assert isinstance(cell, str) and (cell == "-" or not cell.startswith(("=", "+", "-", "@")))


def test_a_table_keeps_its_shape_and_brings_no_html() -> None:
    evil = "a|b\n\n# owned <script>alert(1)</script> ![x](http://evil) `x`"
    for lines in (card_table(("licence", "n"), [(evil, 1)]).split("\n"), _table(("stage", "state"), [(evil, "ok")])):
        assert len(lines) == 3
        assert "<script" not in lines[2] and "![x](" not in lines[2]
        assert len(re.findall(r"(?<!\\)\|", lines[2])) == 3


def test_a_stages_output_brings_no_escape_sequences_into_a_log() -> None:
    evil = (
        b"ok \x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\ \x9b31m \x00\x08\x7f end"
    )
    ((text, _),) = _line(evil, False)
    assert text.isprintable() and text.startswith("ok red") and text.endswith("end")
