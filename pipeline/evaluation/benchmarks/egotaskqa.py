"""EgoTaskQA (Jia et al. 2022, arXiv 2210.03929): effects, dependencies and goals in household tasks (LEMMA).

Its answers are open words: the questions asked are those that got options when the dataset was prepared."""

from pipeline.evaluation.benchmarks.base import Benchmark, of_source

EGOTASKQA = Benchmark("egotaskqa", of_source("egotaskqa"))
