"""Rows of foreign annotation files: reading them one by one, and turning each into an Annotation or a BadRow."""

import csv
import hashlib
import io
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.errors import ItemError, StageError, unexpected
from pipeline.records import Annotation, is_safe_id
from pipeline.reports import NOT_TAKEN
from pipeline.sources.base import BadRow

Raw = dict[str, Any]

MOST_CHARACTERS = 10_000  # of one text; EgoSchema's longest option has 300
_LARGEST_BYTES = 4 << 30
_MOST_ROWS = 50_000_000
_TRUTHS = ("answer", "correct_idx", "golden_choice_idx")
_LARGEST_INDEX = 1_000_000


@dataclass(frozen=True)
class Located:
    """A raw row (or None, with `problem`, if it is unreadable) and its place: `questions.jsonl:17`."""

    where: str
    row: Raw | None
    problem: str = ""


def read_located(path: Path) -> Iterator[Located]:
    """Rows of a `.jsonl`, `.json` (list of objects, or object of objects), `.csv`, `.tsv` or `.parquet` file.

    Raises:
        StageError: the file is missing, of an unknown kind, or unreadable as a whole.
    """
    if not path.is_file():
        raise StageError(f"questions file {path} does not exist: correct `questions` in params.yaml")
    readers: dict[str, Callable[[Path], Iterable[Located]]] = {
        ".jsonl": _read_jsonl,
        ".json": _read_json,
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".parquet": _read_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise StageError(f"questions file {path}: expected one of {', '.join(readers)}, found {path.suffix!r}")
    yield from reader(path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StageError(f"{path} is not UTF-8 text (byte {error.start}): convert it") from error


def _located(where: str, value: Any) -> Located:
    if isinstance(value, dict):
        return Located(where, {name: None if _is_missing(name, found) else found for name, found in value.items()})
    return Located(where, None, f"expected an object, found {type(value).__name__}")


def _is_missing(name: str, value: Any) -> bool:
    """Whether a value is NaN, which data frames write for missing values. An answer is only missing if it is null."""
    return isinstance(value, float) and math.isnan(value) and name not in _TRUTHS


def _read_jsonl(path: Path) -> Iterator[Located]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            yield _located(where, json.loads(line))
        except (ValueError, RecursionError) as error:  # ValueError also for a number of more than 4,300 digits
            yield Located(where, None, f"not JSON: {error}")


def _read_json(path: Path) -> Iterator[Located]:
    try:
        value = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise StageError(f"{path} is not JSON: {error}") from error
    if isinstance(value, dict) and isinstance(value.get("annotations"), list):  # beside `info`, as in COCO and EgoTempo
        value = value["annotations"]
    if isinstance(value, dict):
        value = [{"id": key, **row} if isinstance(row, dict) else row for key, row in value.items()]
    if not isinstance(value, list):
        raise StageError(f"{path}: expected a list or an object of rows, found {type(value).__name__}")
    for number, row in enumerate(value):
        yield _located(f"{path.name}[{number}]", row)


def _read_csv(path: Path) -> Iterator[Located]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), delimiter=delimiter)
    while True:
        where = f"{path.name}:{reader.line_num + 1}"
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # a field of more than 131,072 characters, a NUL byte
            yield Located(where, None, f"not CSV: {error}")
            continue
        where = f"{path.name}:{reader.line_num}"
        if None in row or None in row.values():
            yield Located(where, None, f"expected {len(reader.fieldnames or [])} columns")
        else:
            yield Located(where, {key: value for key, value in row.items() if value != ""})


def _read_parquet(path: Path) -> Iterator[Located]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_size(path, file.metadata)
            table = file.read()
            # checks lengths and offsets inside the buffers, so that a false header cannot reach memory
            table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # also a column name that is not UTF-8
        raise StageError(f"{path} cannot be read as parquet: {error}") from error
    for number in range(table.num_rows):
        where = f"{path.name}[{number}]"
        try:
            (row,) = table.slice(number, 1).to_pylist()
        except (ValueError, OverflowError, pa.ArrowException) as error:  # not UTF-8, a date after the year 9999
            yield Located(where, None, f"not readable: {error}")
        else:
            yield _located(where, row)


def _check_size(path: Path, metadata: Any) -> None:
    """Refuse a file that would unpack to more than annotations ever need: a bomb, or a false header.

    Raises:
        StageError: more than `_LARGEST_BYTES` or `_MOST_ROWS`.
    """
    unpacked = sum(max(0, metadata.row_group(i).total_byte_size) for i in range(metadata.num_row_groups))
    if unpacked > _LARGEST_BYTES or not 0 <= metadata.num_rows <= _MOST_ROWS:
        raise StageError(
            f"{path} claims {metadata.num_rows} rows and {unpacked} bytes when unpacked; annotations may have at most "
            f"{_MOST_ROWS} and {_LARGEST_BYTES}: split it"
        )


def annotate(rows: Iterable[Located], convert: Callable[[Raw], Iterable[Annotation]]) -> Iterator[Annotation | BadRow]:
    """Each row through `convert`; a row that does not fit becomes a `BadRow` with its id and place."""
    for located in rows:
        if located.row is None:
            yield BadRow(located.where, "malformed_row", located.problem)
            continue
        try:
            made = list(convert(located.row))
            for annotation in made:
                check_texts(annotation)
            yield from made  # all questions of a row, or none
        except ItemError as error:
            where = "" if error.reason == NOT_TAKEN else f"{located.where}: "  # not bad: nobody looks for the line
            yield BadRow(_name(located), error.reason, where + error.detail)
        except ValidationError as error:
            yield BadRow(_name(located), "wrong_type", f"{located.where}: {explain_row(error)}")
        except Exception as error:  # readers see rows of any shape; an unexpected one costs only itself
            found = unexpected(error)
            yield BadRow(_name(located), found.reason, f"{located.where}: {found.detail}")


def distinct(rows: Iterable[Annotation | BadRow]) -> Iterator[Annotation | BadRow]:
    """Rows with unique ids: if a row repeats an earlier id with other content, a digest of the content is added to
    its id.

    An exact repetition of an earlier row becomes a `BadRow` (`repeated_row`).
    """
    seen: dict[str, set[str]] = {}
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        content = hashlib.sha256(row.model_dump_json().encode("utf-8", "surrogatepass")).hexdigest()[:12]
        earlier = seen.setdefault(row.question_id, set())
        if content in earlier:
            yield BadRow(row.question_id, "repeated_row", "it is an exact copy of an earlier row")
        else:
            yield row if not earlier else row.model_copy(update={"question_id": f"{row.question_id[:180]}+{content}"})
            earlier.add(content)


def check_texts(annotation: Annotation) -> None:
    """Refuse texts that cannot be stored, shown or asked; nothing is silently removed from them.

    Raises:
        ItemError: `bad_text` for a lone surrogate or a control character; `text_too_long`.
    """
    options = annotation.options or ()
    named = [("question", annotation.question), *((f"option {i}", option) for i, option in enumerate(options))]
    named += [("answer_text", annotation.answer_text or ""), ("family", annotation.family)]
    named += [("licence", annotation.licence)]
    for name, text_ in named:
        if len(text_) > MOST_CHARACTERS:
            raise ItemError("text_too_long", f"{name}: {len(text_)} characters; at most {MOST_CHARACTERS}")
        wrong = next((c for c in text_ if unicodedata.category(c) in ("Cs", "Cc") and c not in "\t\n\r"), None)
        if wrong is not None:
            raise ItemError("bad_text", f"{name} contains {wrong!a}: a control character or half a character")


def explain_row(error: ValidationError) -> str:
    """The first problem of a pydantic error on one line: where, what, found."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']} (found {str(first.get('input'))[:80]!r})".lstrip(": ")


def _name(located: Located) -> str:
    row = located.row or {}
    found = next(
        (row[key] for key in ("question_id", "id", "sample_id", "q_uid", "video_idx") if row.get(key) is not None), None
    )
    return located.where if found is None else str(found)


# --- fields -----------------------------------------------------------------------------------------------------------


def required(row: Raw, *names: str) -> Any:
    """The first of `names` that the row has.

    Raises:
        ItemError: none is there, or it is null (`missing_field`).
    """
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise ItemError("missing_field", f"expected {' or '.join(names)}; found {', '.join(sorted(map(str, row)))[:120]}")


def text(row: Raw, *names: str) -> str:
    """A required, non-blank text field."""
    value = required(row, *names)
    if not isinstance(value, str) or not value.strip():
        raise ItemError("wrong_type", f"{names[0]}: expected text, found {preview(value)}")
    return value.strip()


def preview(value: Any) -> str:
    """A foreign value for a message, at most 80 characters of it; a number of any length."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    return repr(value[:80] if isinstance(value, str) else value)[:80]


def number(value: Any, name: str) -> float:
    """A finite number, also from a CSV's text.

    Raises:
        ItemError: not a number, NaN or infinite (`wrong_type`).
    """
    try:
        found = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise ItemError("wrong_type", f"{name}: expected a finite number, found {preview(value)}")
    return found


def option_index(value: Any, name: str = "answer") -> int:
    """An option's index from an integer, an integral float, `"2"` or a letter `"C"`."""
    if isinstance(value, str) and re.fullmatch(r"[A-Ja-j]", value.strip()):
        return ord(value.strip().upper()) - ord("A")
    found = number(value, name)
    if found != int(found):
        raise ItemError("wrong_type", f"{name}: expected a whole number or a letter, found {preview(value)}")
    if abs(found) > _LARGEST_INDEX:
        raise ItemError("wrong_type", f"{name}: expected the index of an option, found {preview(value)}")
    return int(found)


def safe_id(raw: Any) -> str:
    """`raw` as an id that can name a file: unchanged if possible, else a readable stem and a digest."""
    name = str(raw)
    if is_safe_id(name):
        return name
    stem = re.sub(r"[^A-Za-z0-9_.@+-]+", "_", name).strip("_.-")[:80] or "id"
    return f"{stem}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
