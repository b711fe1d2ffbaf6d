"""Imports Great Expectations quietly, in one place: it warns on import and takes seconds to load."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

__all__ = [
    "DefaultJinjaPageView",
    "ExpectationSuiteValidationResult",
    "ProgressBarsConfig",
    "ValidationResultsPageRenderer",
    "gx",
    "gxe",
]
