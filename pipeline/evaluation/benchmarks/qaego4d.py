"""QaEgo4D (Bärmann & Waibel 2022): episodic memory on Ego4D; the closed-ended form with four options."""

from pipeline.evaluation.benchmarks.base import Benchmark, of_source

QAEGO4D = Benchmark("qaego4d", of_source("qaego4d"))
