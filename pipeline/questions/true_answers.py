"""Which answers are true of a clip: those of all open-ended rows about it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import inf

from pipeline.records import Annotation
from pipeline.text.options import normalise_text


class TrueAnswers:
    """True answers by recording, and by clip if that leaves too little to choose from."""

    def __init__(self, rows: Iterable[Annotation], recordings: Mapping[str, str]) -> None:
        self._recordings = recordings
        self._rows: dict[str, list[Annotation]] = defaultdict(list)
        for row in rows:
            self._rows[self._recording(row)].append(row)
        self._of = {
            recording: frozenset(normalise_text(str(row.answer_text)) for row in own)
            for recording, own in self._rows.items()
        }

    def _recording(self, row: Annotation) -> str:
        return self._recordings.get(row.video_id, row.video_id)

    def beside(self, row: Annotation, known: frozenset[str], needed: int) -> frozenset[str]:
        """True answers of the row's recording other than its own. If that leaves fewer than `needed` of the `known`
        answers, only those of clips that overlap its own in time."""
        own = {normalise_text(str(row.answer_text))}
        true = self._of[self._recording(row)]
        if len(known) - len(known & true) >= needed:  # iterates over the smaller set
            return true - own
        start, end = _span(row)
        seen = (other for other in self._rows[self._recording(row)] if other.video_id == row.video_id)
        overlapping = (other for other in seen if _span(other)[0] < end and start < _span(other)[1])
        return frozenset(normalise_text(str(other.answer_text)) for other in overlapping) - own


def _span(row: Annotation) -> tuple[float, float]:
    return row.start_seconds or 0.0, inf if row.end_seconds is None else row.end_seconds
