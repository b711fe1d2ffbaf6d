"""Do answers agree with their own thinking?

By asking again: the same thinking under the options in another order, by likelihood (`forced/reordered`). An answer
agrees if the option chosen then has the same content. ACRE (arXiv 2510.10104) measures this with a second completion.

It misses an answer that comes from the video in both askings, past the thinking. For the synthetic world the thinking
is therefore also read exactly, from the fact with which it ends.
"""

from collections.abc import Mapping, Sequence

from pipeline.answers.thinking import thinking_of
from pipeline.evaluation.conclusions import concluded_option
from pipeline.evaluation.runs import HEADLINE, REASKED
from pipeline.evaluation.scores import IntervalSettings, RunKey, clusters_of
from pipeline.evaluation.statistics import Estimate
from pipeline.records import Prediction, Question


def agreement(runs: Mapping[RunKey, Sequence[Prediction]], model: str, intervals: IntervalSettings) -> Estimate | None:
    """Share of the headline's readable answers that are given again when asked with the same thinking; None if nobody
    asked."""
    again = {p.question_id: p.option for p in runs.get((model, REASKED), ())}
    given = [p for p in runs.get((model, HEADLINE), ()) if p.option is not None and p.question_id in again]
    return _share({p.question_id: p.option == again[p.question_id] for p in given}, given, intervals)


def stated_agreement(
    runs: Mapping[RunKey, Sequence[Prediction]],
    model: str,
    questions: Mapping[str, Question],
    intervals: IntervalSettings,
) -> Estimate | None:
    """Share of the headline's readable answers that say what their thinking ends with; None if no thinking ends with a
    fact of the synthetic world."""
    agree, given = {}, []
    for p in runs.get((model, HEADLINE), ()):
        question = questions[p.question_id]
        said = concluded_option(thinking_of(p.completion), question.family, question.options)
        if p.option is not None and said is not None:
            agree[p.question_id] = p.option == said
            given.append(p)
    return _share(agree, given, intervals)


def _share(agree: Mapping[str, bool], given: Sequence[Prediction], intervals: IntervalSettings) -> Estimate | None:
    clusters = clusters_of(given)
    names = list(agree)
    return intervals.mean([float(agree[q]) for q in names], [clusters[q] for q in names], (0, 1)) if names else None
