"""What is rehearsed, in order."""

from benchmarks.rehearsal import core, matrix, readers
from benchmarks.rehearsal.steps import Step

CORE = [
    Step("inputs", "a model in the hub's layout, EgoSchema's and EgoIT's files, rendered videos", core.make_inputs),
    Step("profile", "`egovlm profile full` and `egovlm doctor`, before and after the overlay", core.choose_profile),
    Step("stages", "`egovlm run`: nine stages by the profile", core.run_stages, ("profile",)),
]
OPENED = [
    Step("transformers", "base and policy by plain transformers", readers.open_plainly, ("stages",)),
]
AFTER = [
    Step("submission", "a second run: a submission of all 5,031, wandb offline", core.run_submission, ("stages",)),
    Step("compare", "`egovlm compare` of the two runs, of base and policy", core.compare_runs, ("submission",)),
    Step("promote", "`egovlm promote`: the gate says no on a dozen questions", core.promote, ("stages",)),
    Step("lmms-eval", "results by lmms-eval's own reader", readers.open_by_lmms, ("stages",)),
]
MATRIX = [
    Step(name.replace(" ", "-"), f"training, killed and resumed: {name}", matrix.step_of(name), ("stages",))
    for name in matrix.LAUNCHERS
]
MORE_LAUNCHERS = MATRIX[2:]
GPU = [Step("gpu-dry-run", "`make gpu`, every step of it on the CPU", readers.dry_run_acceptance, ("inputs",))]
STEPS = [*CORE, *OPENED, *AFTER, *MATRIX, *GPU]
