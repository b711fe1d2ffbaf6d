"""The suites: what must hold for videos, clips, keyframes, questions, splits, letters and probes, and how severe a
violation is.

`pipeline.checks.tables` makes the columns. A critical check protects a score from being wrong; a warning is
something that a person should look at.
"""

from dataclasses import replace

from pipeline.checks.findings import Check, between, true, unique

VIDEOS = (
    unique("critical", "video_id", "two files under one id: a question could be asked about the wrong one"),
    true("file present", "critical", "file_present", "a video of the manifest is missing or has another size"),
    Check("sha256 well formed", "critical", "ColumnValuesToMatchRegex", "sha256",
          "a file without a checksum cannot be identified", {"regex": "^[0-9a-f]{64}$"}),
    between("critical", "duration_seconds", 0.04, None, "a video without a frame's length has nothing to see"),
    between("warning", "duration_seconds", None, 6 * 3600, "longer than six hours: is the time base right?"),
    between("warning", "frames_per_second", 1, 240, "an odd frame rate: is the time base right?"),
    between("warning", "width", 32, 8192, "an odd width"),
    between("warning", "height", 32, 8192, "an odd height"),
    unique("warning", "sha256", "one file under two ids: its questions may be on both sides of a split"),
    true("licence stated", "warning", "has_licence", "data without a licence cannot be passed on"),
)  # fmt: skip

CLIPS = (
    unique("critical", "clip_id", "frames could come from another clip"),
    true("times increase", "critical", "times_increase", "frames out of order show events in the wrong order"),
    true(
        "times inside the clip",
        "critical",
        "times_inside",
        "frames from outside the clip show what was not asked about",
    ),
    true("frames cover the clip", "warning", "covers", "most of the clip is never seen"),
    true("two frames or more", "warning", "several_frames", "order and motion cannot be seen in one picture"),
    true("not black", "warning", "not_black", "nothing can be seen"),
    true("not frozen", "warning", "not_frozen", "all frames are the same: a decoder may have got stuck"),
    true("not blurred", "warning", "not_blurred", "nothing sharp can be seen"),
    true("has keyframes", "warning", "has_keyframes", "mining found no candidate"),
)

KEYFRAMES = (
    unique("critical", "keyframe_id", "a clip has two candidates of one rank"),
    true("clip known", "critical", "clip_known", "a candidate of a clip that nobody asks about"),
    true("inside its clip", "critical", "inside", "a candidate outside of its clip"),
    between("critical", "score", 0, 1, "scores are normalised per clip"),
)

QUESTIONS = (
    unique("critical", "question_id", "predictions are joined by this id"),
    true("video known", "critical", "video_known", "a question about a video that is not there"),
    true("frames present", "critical", "has_frames", "the model would answer blind"),
    true("2 to 5 options", "critical", "option_count_ok", "there is nothing to choose, or a letter is missing"),
    true("training options distinct", "critical", "training_options_distinct", "two options are the same"),
    true(
        "evaluation options distinct",
        "warning",
        "evaluation_options_distinct",
        "the benchmark has an ambiguous question",
    ),
    true("options not empty", "critical", "options_filled", "an empty option"),
    true("answer in range", "critical", "answer_ok", "the truth is none of the options"),
    true("training has answers", "critical", "answered_or_held_out", "a reward needs the truth"),
    true("span inside the video", "critical", "span_inside", "the question is about something after the end"),
    true(
        "key times inside the span", "warning", "key_times_inside", "the keyframe reward would teach the wrong moment"
    ),
    true("no training row leaks", "critical", "leak_free", "the score on the benchmark would be recall, not skill"),
    true("five options in evaluation", "warning", "five_in_evaluation", "chance is not one in five"),
    true(
        "no letters in options", "warning", "no_letters", "a letter inside an option contradicts the one in front of it"
    ),
    between("warning", "question_characters", 8, 2000, "an odd length for a question"),
)

SPLITS = (
    unique("critical", "recording", "the table has one row per recording"),
    true("in one split only", "critical", "in_one_split", "what was trained on would be evaluated on"),
)

LETTERS = (
    true("training letters balanced", "critical", "training_balanced", "a policy could learn to prefer a letter"),
    true(
        "evaluation letters balanced", "warning", "evaluation_balanced", "always naming one letter scores above chance"
    ),
)

SHORTCUTS = (
    true(
        "training has no shortcut",
        "critical",
        "training_within_bound",
        "a rule that never sees the video finds the answer",
    ),
    true(
        "training shortcuts can be told from luck",
        "warning",
        "training_enough",
        "a rule that never sees the video seems to find the answer, on too few questions to be sure",
    ),
    true(
        "evaluation has no shortcut", "warning", "evaluation_within_bound", "report blind scores beside this benchmark"
    ),
)

Suites = dict[str, tuple[tuple[Check, ...], str]]


def suites(allow_leakage: bool) -> Suites:
    """Table name -> its checks, and the column that names a row. Leaks that were explicitly allowed are a warning."""
    questions = QUESTIONS if not allow_leakage else tuple(map(_forgiven, QUESTIONS))
    return {
        "videos": (VIDEOS, "video_id"),
        "clips": (CLIPS, "clip_id"),
        "keyframes": (KEYFRAMES, "keyframe_id"),
        "questions": (questions, "question_id"),
        "splits": (SPLITS, "recording"),
        "letters": (LETTERS, "split"),
        "shortcuts": (SHORTCUTS, "rule"),
    }


def _forgiven(check: Check) -> Check:
    return replace(check, severity="warning") if check.column == "leak_free" else check
