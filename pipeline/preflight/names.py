"""Names in params.yaml that refer to code: does each exist, in the pinned version?"""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import ParamsError
from pipeline.evaluation.benchmarks import BENCHMARKS
from pipeline.grpo.rewards import REWARDS
from pipeline.keyframes.scorers import check_scorer
from pipeline.params import Params
from pipeline.preflight.findings import Finding


def check_names(params: Params, root: Path) -> Iterator[Finding]:
    """Signal, rewards and benchmark; `check_sources` checks the kinds of the sources."""
    mine, train, evaluate = params.mine_keyframes, params.train_grpo, params.evaluate_egoschema
    checks: list[tuple[str, Callable[[], None]]] = [
        ("mine_keyframes", lambda: check_scorer(mine.signal, mine.plugins)),
        ("train_grpo", lambda: REWARDS.check(train.rewards, "train_grpo.rewards", train.plugins)),
        (
            "evaluate_egoschema",
            lambda: BENCHMARKS.check([evaluate.benchmark], "evaluate_egoschema.benchmark", evaluate.plugins),
        ),
    ]
    for stage, check in checks:
        try:
            check()
        except ParamsError as error:
            yield Finding("names", "fail", str(error), "correct the name, or install and pin its package", (stage,))
