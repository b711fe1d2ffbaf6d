"""The house's English: docstrings, comments, messages, README and docs use plain words and short sentences."""

import re
from pathlib import Path

import pytest

from tests.support.prose import Prose, of_markdown, of_python, words

# Words that no reader should have to decode, and what to write instead.
HOUSE = {
    r"mend(s|ed|ing)?": "fix",
    r"(not )?to be had|was had|were had|cannot be had": "unavailable, fetched",
    r"by lot": "at random",
    r"lean(s|ed|ing)? on": "reference",
    r"anew": "again",
    r"at work": "running, active",
    r"tore|torn": "damaged, incomplete",
    r"nobody foresaw": "unexpected",
    r"in silence": "silently",
    r"of one's own|of its own accord": "your own",
    r"puts? questions to": "ask",
    r"champion again": "roll back",
    r"home of a value|on (its|their) way home|comes? home": "only place, on its way back",
    r"a pile": "a stack",
    # Conditions are *if* and *when*; *where* is for places.
    r"where (there (is|are|was|were) (no|none|one|nothing)|none|nothing|nobody|no)": "if",
}
_HOUSE = {re.compile(rf"\b(?:{word})\b", re.IGNORECASE): better for word, better in HOUSE.items()}
MOST_WORDS = 32  # of a sentence in pipeline/, flows/ and on the pages; 25 is the aim, the rest is room for names
A_RECORD = {"log.md"}  # it stays as it was written


@pytest.fixture(scope="module")
def code(repository: Path) -> list[Prose]:
    folders = ("pipeline", "flows", "benchmarks", "tests")
    files = [path for folder in folders for path in sorted((repository / folder).rglob("*.py"))]
    found = [prose for path in files if path.name != "test_prose.py" for prose in of_python(path)]
    assert {prose.kind for prose in found} == {"docstring", "comment", "message"} and len(found) > 3000
    return found


@pytest.fixture(scope="module")
def pages(repository: Path) -> list[Prose]:
    files = [repository / "README.md", *sorted((repository / "docs").glob("*.md"))]
    found = [prose for path in files if path.name not in A_RECORD for prose in of_markdown(path)]
    assert len(found) > 100
    return found


def _odd(found: list[Prose]) -> list[str]:
    return [
        f"{prose.path}:{prose.line}: {match.group()!r}, better: {better}"
        for prose in found
        for word, better in _HOUSE.items()
        for match in word.finditer(" ".join(prose.text.split()))
    ]


def test_code_uses_the_house_words(code: list[Prose]) -> None:
    odd = _odd(code)
    assert not odd, "\n".join(odd)


def test_pages_use_the_house_words(pages: list[Prose]) -> None:
    odd = _odd(pages)
    assert not odd, "\n".join(odd)


def test_sentences_of_pages_are_short(repository: Path, pages: list[Prose]) -> None:
    long = [
        f"{prose.path.relative_to(repository)}:{prose.line}: {words(sentence)} words: {sentence}"
        for prose in pages
        for sentence in prose.sentences()
        if words(sentence) > MOST_WORDS
    ]
    assert not long, "\n".join(long)


def test_sentences_of_docstrings_and_messages_are_short(repository: Path, code: list[Prose]) -> None:
    long = [
        f"{prose.path}:{prose.line}: {words(sentence)} words: {sentence}"
        for prose in code
        if prose.kind != "comment" and prose.path.relative_to(repository).parts[0] in ("pipeline", "flows")
        for sentence in prose.sentences()
        if words(sentence) > MOST_WORDS
    ]
    assert not long, "\n".join(long)


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        ('"""Mend it."""\n', "docstring", "Mend it."),
        ("x = 1  # torn by a kill\n", "comment", "torn by a kill"),
        ('raise ValueError(f"{x} is not to be had" if x else "gone")\n', "message", "X is not to be had"),
        ('raise E("reason", "first half " "second half")\n', "message", "first half second half"),
        ('option(help="Mend the file.")\n', "message", "Mend the file."),
    ],
)
def test_prose_is_found(tmp_path: Path, source: str, kind: str, text: str) -> None:
    (tmp_path / "a.py").write_text(source, encoding="utf-8")
    assert (kind, text) in [(prose.kind, prose.text) for prose in of_python(tmp_path / "a.py")]


def test_code_in_markdown_is_no_prose(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "Run `mend` now.\n\n```bash\nmend x\n```\n\n| mend | b |\n|---|---|\n", encoding="utf-8"
    )
    assert [prose.text for prose in of_markdown(tmp_path / "a.md")] == ["Run `x` now.", "mend", "b"]
