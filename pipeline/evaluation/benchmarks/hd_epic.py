"""HD-EPIC VQA (Perrett et al. 2025, arXiv 2502.04144): 26,000 five-way questions on kitchen recordings."""

from pipeline.evaluation.benchmarks.base import Benchmark, of_source

HD_EPIC = Benchmark("hd_epic", of_source("hd_epic", "hdepic"))
