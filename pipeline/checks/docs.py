"""Data Docs: Great Expectations' own pages, made self-contained and the same for the same data.

The library's pages load styles and scripts from seven hosts and contain the time and random ids. Here outside links are
removed, a small style is added, ids are numbered in order and times are left out. So the pages open without a network,
reveal to nobody that they were opened, and can be versioned.
"""

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.checks.findings import CheckFinding
from pipeline.checks.gx import DefaultJinjaPageView, ExpectationSuiteValidationResult, ValidationResultsPageRenderer
from pipeline.files import replacing_folder

_OUTSIDE = re.compile(
    r"<footer\b.*?</footer>|<link\b[^>]*>|<script\b[^>]*\bsrc=[^>]*>\s*</script>|<script\b.*?</script>|<img\b[^>]*src=\"https?://[^>]*>",
    re.S,
)
_RANDOM_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STYLE = (Path(__file__).parent / "docs.css").read_text(encoding="utf-8")


def write_docs(
    results: Mapping[str, ExpectationSuiteValidationResult], findings: Sequence[CheckFinding], folder: Path
) -> None:
    """One page per suite and an index into `folder`, whole or absent."""
    view = DefaultJinjaPageView()  # only one, since it compiles its templates once
    with replacing_folder(folder) as partial:
        for name, result in results.items():
            (partial / f"{name}.html").write_text(_page(result, view), encoding="utf-8")
        (partial / "index.html").write_text(_index(results, findings), encoding="utf-8")


def _page(result: ExpectationSuiteValidationResult, view: DefaultJinjaPageView) -> str:
    result.meta.pop("batch_markers", None)
    for one in result.results:  # complete index lists would make pages of megabytes; the table of examples stays
        for key in ("unexpected_list", "unexpected_index_list", "unexpected_index_query"):
            one.result.pop(key, None)
    page = view.render(ValidationResultsPageRenderer(run_info_at_end=True).render(result))
    return self_contained(page)


def self_contained(page: str) -> str:
    """`page` without outside links, scripts, times and random ids, with the local style."""
    bare = _OUTSIDE.sub("", page)
    seen: dict[str, str] = {}
    bare = _RANDOM_ID.sub(lambda match: seen.setdefault(match.group(), f"id{len(seen)}"), bare)
    return bare.replace("</head>", f"<style>{_STYLE}</style></head>", 1)


def _index(results: Mapping[str, ExpectationSuiteValidationResult], findings: Sequence[CheckFinding]) -> str:
    rows = "".join(_row(name, result, findings) for name, result in results.items())
    listed = "".join(
        f"<li class={finding.check.severity}><b>{finding.check.severity}</b> {html.escape(str(finding))}: "
        f"{html.escape(finding.check.why)}</li>"
        for finding in findings
    )
    return (
        "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>Data Docs</title>"
        f"<meta name=viewport content='width=device-width, initial-scale=1'><style>{_STYLE}</style></head>"
        "<body class=index><h1>What was checked</h1><table><tr><th>suite<th>checks<th>critical<th>warnings</tr>"
        f"{rows}</table><h2>What failed</h2><ul>{listed or '<li>nothing</li>'}</ul>"
        "<h2>Every check</h2><table><tr><th>suite<th>check<th>severity<th>held<th>why it matters</tr>"
        f"{''.join(_checks(name, result) for name, result in results.items())}</table></body></html>\n"
    )


def _checks(name: str, result: ExpectationSuiteValidationResult) -> str:
    rows = []
    for one in result.results:
        config = one.expectation_config
        check, _, why = str(config.notes).partition(": ")
        held = "yes" if one.success else "<b>no</b>"
        cells = (name, html.escape(check), config.severity.value, held, html.escape(why))
        rows.append("<tr>" + "".join(f"<td>{cell}" for cell in cells) + "</tr>")
    return "".join(rows)


def _row(name: str, result: ExpectationSuiteValidationResult, findings: Sequence[CheckFinding]) -> str:
    own = [finding.check.severity for finding in findings if finding.table == name]
    counts = f"<td>{len(result.results)}<td>{own.count('critical')}<td>{own.count('warning')}"
    return f'<tr><td><a href="{name}.html">{name}</a>{counts}</tr>'
