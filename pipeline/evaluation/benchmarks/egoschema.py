"""EgoSchema (Mangalam et al. 2023, arXiv 2308.09126): 5,031 five-way questions on three-minute Ego4D clips.

The answers of 500 are public (`subset`); the others are known to the validation server, which takes one file with an
answer for every question (`full`, see pipeline/evaluation/submission.py).
"""

from pipeline.evaluation.benchmarks.base import Benchmark, of_source

_from_egoschema = of_source("egoschema")

EGOSCHEMA_SUBSET = Benchmark(
    "egoschema_subset",
    lambda question: _from_egoschema(question) and question.answer is not None,
    ids="answered",
    task="egoschema_subset",
)
EGOSCHEMA_FULL = Benchmark("egoschema_full", _from_egoschema, ids="questions", task="egoschema", submits=True)
