"""Run checks with Great Expectations. Imported only when checks run: the library takes seconds to load."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pandas as pd

from pipeline.checks.findings import Check, CheckFinding
from pipeline.checks.gx import ExpectationSuiteValidationResult, ProgressBarsConfig, gx, gxe

EXAMPLES = 5


def validate(tables: Mapping[str, pd.DataFrame], suites: Mapping[str, tuple[Sequence[Check], str]]) -> "Results":
    """Every suite over its whole table, in the order of `suites`; a table without rows is left out."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    source = context.data_sources.add_pandas("dataset")
    results: Results = {}
    for name, (checks, key) in suites.items():
        if len(tables[name]):
            asset = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
            results[name] = _validate(asset.get_batch({"dataframe": tables[name]}), name, checks, key)
    return results


Results = dict[str, ExpectationSuiteValidationResult]


def _validate(batch: Any, name: str, checks: Sequence[Check], key: str) -> ExpectationSuiteValidationResult:
    suite = gx.ExpectationSuite(name=name, expectations=[_expectation(check) for check in checks])
    result_format = {
        "result_format": "COMPLETE",
        "unexpected_index_column_names": [key],
        "include_unexpected_rows": False,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own warnings about pandas
        return batch.validate(suite, result_format=result_format)


def _expectation(check: Check) -> Any:
    kind = getattr(gxe, f"Expect{check.rule}")
    column = {"column": check.column} if check.column else {}
    notes = f"{check.name}: {check.why}"
    return kind(**column, **check.arguments, severity=check.severity, notes=notes, meta={"check": check.name})


def find(results: "Results", suites: Mapping[str, tuple[Sequence[Check], str]]) -> list[CheckFinding]:
    """The checks that failed, critical ones first.

    Raises:
        RuntimeError: a check could not be run (a bug: its column is missing).
    """
    found: list[CheckFinding] = []
    for table, result in results.items():
        checks, key = suites[table]
        by_name = {check.name + check.severity: check for check in checks}
        for one in result.results:
            meta = one.expectation_config.meta["check"] + one.expectation_config.severity
            if one.exception_info.get("raised_exception", False) or "exception_message" not in one.exception_info:
                raise RuntimeError(f"check {table}: {meta} could not be run: {one.exception_info}")
            if not one.success:
                found.append(_finding(table, by_name[meta], one.result, key))
    return sorted(found, key=lambda finding: finding.check.severity != "critical")


def _finding(table: str, check: Check, result: Mapping[str, Any], key: str) -> CheckFinding:
    index = cast(list[dict[str, Any]], result.get("unexpected_index_list") or [])
    examples = tuple(dict.fromkeys(str(row[key]) for row in index[: EXAMPLES * 2]))[:EXAMPLES]
    return CheckFinding(
        table, check, int(result.get("unexpected_count", 1)), int(result.get("element_count", 1)), examples
    )
