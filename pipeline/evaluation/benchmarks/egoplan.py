"""EgoPlan-Bench (Chen et al. 2023, arXiv 2312.06722): what to do next, four options, on Ego4D and EPIC-Kitchens."""

from pipeline.evaluation.benchmarks.base import Benchmark, of_source

EGOPLAN = Benchmark("egoplan", of_source("egoplan"), task="egoplan")
