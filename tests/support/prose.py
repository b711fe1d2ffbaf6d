"""The prose of a file, taken out of it: docstrings, comments and messages of Python, paragraphs of Markdown."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from markdown_it import MarkdownIt

Kind = Literal["docstring", "comment", "message", "markdown"]

# A keyword argument of these names holds words that a person reads on the command line.
_HELP = ("help", "description", "epilog")
# A comment for a tool is no prose.
_PRAGMA = re.compile(r"#\s*(noqa|type:|fmt:|pragma|ruff|mypy|!)")
_SENTENCE_END = re.compile(r"(?<=[.!?:;])[)\"']*\s+(?=[A-Z`{(\"'0-9*])|\n\s*\n|\n\s*(?:[*-]|\d+\.) ")
# Lines of a table, a drawing, an example or a command; lines that begin a named item (an argument, an error).
_NO_PROSE = re.compile(r"^.*(?:\S {3,}\S|[│├└→]|->|^\s*>>>|^ {4,}(?:python|egovlm|dvc) ).*$", re.MULTILINE)
_ITEM = re.compile(r"^(?=\s*[\w.]+: )", re.MULTILINE)


@dataclass(frozen=True)
class Prose:
    path: Path
    line: int
    kind: Kind
    text: str

    def sentences(self) -> list[str]:
        """Sentences, and what stands apart like one: list items, arguments. Tables and drawings are left out."""
        text = _ITEM.sub("\n\n", _NO_PROSE.sub("\n", self.text))
        return [" ".join(part.split()) for part in _SENTENCE_END.split(text) if part.strip()]


def words(sentence: str) -> int:
    return len(re.findall(r"[^\W_][\w'’.-]*", sentence))


def of_python(path: Path) -> Iterator[Prose]:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    yield from (Prose(path, line, "docstring", text) for line, text in _docstrings(tree))
    yield from (Prose(path, line, "comment", text) for line, text in _comments(source))
    yield from (Prose(path, line, "message", text) for line, text in _messages(tree))


def of_markdown(path: Path) -> Iterator[Prose]:
    """Paragraphs, headings, list items and table cells; code and links' targets are left out."""
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8")):
        if token.type == "inline" and token.children and token.map:
            parts = ["`x`" if child.type == "code_inline" else child.content for child in token.children]
            kept = [
                " " if child.type == "softbreak" else part for child, part in zip(token.children, parts, strict=True)
            ]
            yield Prose(path, token.map[0] + 1, "markdown", "".join(kept))


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Comments; lines one below the other, each with nothing before it, are one."""
    first, last, parts = 0, -1, []  # type: int, int, list[str]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or _PRAGMA.match(token.string):
            continue
        line, alone = token.start[0], not token.line[: token.start[1]].strip()
        if parts and alone and line == last + 1:
            parts.append(token.string.lstrip("# "))
        else:
            if parts:
                yield first, "\n".join(parts)
            first, parts = line, [token.string.lstrip("# ")]
        last = line if alone else -1
    if parts:
        yield first, "\n".join(parts)


def _messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What errors say, and what `--help` says. A value in an f-string counts as one word."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            for argument in [*node.exc.args, *(keyword.value for keyword in node.exc.keywords)]:
                yield from _texts(argument)
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in _HELP:
                    yield from _texts(keyword.value)


def _texts(node: ast.expr) -> Iterator[tuple[int, str]]:
    """Text of a string, an f-string or strings put together with `+`, `%` or a condition."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    elif isinstance(node, ast.JoinedStr):
        parts = [str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values]
        yield node.lineno, "".join(parts).replace("{}", "X")
    elif isinstance(node, ast.BinOp):
        yield from _texts(node.left)
        yield from _texts(node.right)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
