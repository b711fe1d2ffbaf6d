"""All questions of the chosen splits, whatever their source."""

from pipeline.evaluation.benchmarks.base import Benchmark

ALL = Benchmark("all", lambda question: True)
