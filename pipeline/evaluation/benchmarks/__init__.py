"""Benchmarks: which questions they contain, and how their results are submitted. One short file each."""

from pipeline.evaluation.benchmarks.base import Benchmark
from pipeline.evaluation.benchmarks.egoplan import EGOPLAN
from pipeline.evaluation.benchmarks.egoschema import EGOSCHEMA_FULL, EGOSCHEMA_SUBSET
from pipeline.evaluation.benchmarks.egotaskqa import EGOTASKQA
from pipeline.evaluation.benchmarks.everything import ALL
from pipeline.evaluation.benchmarks.hd_epic import HD_EPIC
from pipeline.evaluation.benchmarks.qaego4d import QAEGO4D
from pipeline.evaluation.benchmarks.synthetic import SYNTHETIC
from pipeline.registry import Registry

BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark",
    "egovlm.benchmarks",
    {
        "all": ALL,
        "synthetic": SYNTHETIC,
        "egoschema_subset": EGOSCHEMA_SUBSET,
        "egoschema_full": EGOSCHEMA_FULL,
        "egoplan": EGOPLAN,
        "egotaskqa": EGOTASKQA,
        "hd_epic": HD_EPIC,
        "qaego4d": QAEGO4D,
    },
)
