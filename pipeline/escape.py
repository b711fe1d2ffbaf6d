"""Foreign text that is safe to show: on a terminal, in Markdown, in a spreadsheet."""

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, invisible and direction marks, surrogates, line ends


def printable(text: str, most: int) -> str:
    """Foreign text that is safe to show: on a terminal, in a log, a table, a UTF-8 file.

    Characters that are not seen (escape sequences, line ends, NUL, direction marks, lone surrogates) are written as
    `\\x1b`; what is longer than `most` characters is cut.

    >>> printable("a\x1b[31mb", 100)
    'a\\x1b[31mb'
    """
    shown = text if len(text) <= most else text[:most] + "..."
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in _HIDDEN else c for c in shown)


def markdown_cell(text: object) -> str:
    """Foreign text that stays within its table cell or list line, and brings no HTML, link or picture."""
    line = printable(" ".join(str(text).split()), 500)
    for plain, safe in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("[", "\\["), ("`", "\\`")):
        line = line.replace(plain, safe)
    return line


def csv_cell(value: object) -> object:
    """A value for a CSV that people open in a spreadsheet: a text that would be a formula there gets a quote in front.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if not isinstance(value, str):
        return value
    line = printable(value, 500)
    return f"'{line}" if line.startswith(("=", "+", "-", "@", "\t", "\r")) and line != "-" else line
