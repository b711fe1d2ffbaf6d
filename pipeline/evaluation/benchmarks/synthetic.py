"""The held-out questions on the rendered egocentric world."""

from pipeline.evaluation.benchmarks.base import Benchmark, of_source

SYNTHETIC = Benchmark("synthetic", of_source("synthetic"))
