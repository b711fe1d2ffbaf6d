"""Stage prepare_model: put the base model into data/models/base, made here (`tiny`) or fetched unchanged (`hub`)."""

from pathlib import Path
from typing import Any

from pipeline.files import replacing_folder, write_json
from pipeline.frames.geometry import FrameSize
from pipeline.layout import BASE
from pipeline.params import HubRecipe, Params
from pipeline.reports import StageReport

CARD = """# Tiny base

This is **not** a vision-language model from the world. It is a {family} *architecture* of {parameters:,} parameters,
made and pretrained by this pipeline on rendered clips in a few CPU minutes, and it **stands in for a downloaded base**
such as `Qwen/Qwen2.5-VL-3B-Instruct`, so that the whole road can be walked and tested without a GPU or a network. It
knows nothing beyond that rendered world, and its scores say nothing about real video.

Like a real base it answers at once better than with reasoning. It was pretrained to see, to write
`<think>…</think><keyframes>…</keyframes><answer>…</answer>`, to look options up, to say `unseen` of what the frames at
hand do not show and to answer all the same. A short last phase degraded it: {wrong:.0%} of the facts that it reasons
with are corrupted (a colour, place or number becomes another one, a time the next frame's); answers without
reasoning confuse two values in five. What GRPO adds is to report what it sees.

Held-out accuracy (five options, chance 0.2): {skilled} greedy before it was degraded; afterwards {greedy} greedy
and {sampled} sampled with reasoning, {direct} without.
"""


def run(params: Params, root: Path, report: StageReport) -> None:
    """Write a plain `from_pretrained` folder to `root/data/models/base`, whole or not at all."""
    settings = params.prepare_model
    report.values["recipe"] = settings.recipe
    with replacing_folder(root / BASE) as folder:
        report.values |= _make_tiny(params, folder) if settings.recipe == "tiny" else _fetch(settings.hub, folder)
    report.count("model", "ok")


def _make_tiny(params: Params, folder: Path) -> dict[str, Any]:
    import torch

    from pipeline.models.families import small_family
    from pipeline.tiny_base.curriculum import make_curriculum, texts_of_the_world
    from pipeline.tiny_base.model import parameter_count, save_tiny
    from pipeline.tiny_base.phases import new_policy, train_phase
    from pipeline.tiny_base.recipe import COMBINE, DEGRADE, LOOKUP, SEE, SHAPE

    torch.set_num_threads(1)  # another order of summation would give other weights
    recipe, steps = params.prepare_model.tiny, params.prepare_model.tiny.steps
    given = params.extract_frames
    size = FrameSize(given.max_pixels, given.size_multiple)
    curriculum = make_curriculum(params.seed, params.prompts, recipe, size)
    family = small_family(recipe.family)
    policy = new_policy(family, SHAPE, texts_of_the_world(params.prompts), params.seed)
    values: dict[str, Any] = {
        "family": recipe.family,
        "parameters": parameter_count(policy.model),
        "vocabulary": len(policy.tokenizer),
    }

    values["lookup"] = train_phase(policy, "lookup", LOOKUP, steps.lookup, curriculum.draw)
    values["see"] = train_phase(policy, "see", SEE, steps.see, curriculum.draw)
    values["combine"] = train_phase(policy, "combine", COMBINE, steps.combine, curriculum.draw)
    values["accuracy_before_degrade"] = curriculum.measure_accuracy(policy, "reasoning", temperature=0.0)
    values["degrade"] = train_phase(policy, "degrade", DEGRADE, steps.degrade, curriculum.draw)
    values["base_accuracy"] = curriculum.measure_accuracy(policy, "reasoning", temperature=0.0)
    values["base_sampled_accuracy"] = curriculum.measure_accuracy(policy, "reasoning", temperature=1.0)
    values["base_direct_accuracy"] = curriculum.measure_accuracy(policy, "direct", temperature=0.0)
    card = CARD.format(
        family=family.title,
        parameters=values["parameters"],
        wrong=DEGRADE.label_noise,
        skilled=values["accuracy_before_degrade"]["all"],
        greedy=values["base_accuracy"]["all"],
        sampled=values["base_sampled_accuracy"]["all"],
        direct=values["base_direct_accuracy"]["all"],
    )
    save_tiny(policy, folder, card)
    return values


def _fetch(hub: HubRecipe, folder: Path) -> dict[str, Any]:
    """Copy a hub or local model byte for byte, after the loader that training uses has accepted it."""
    import torch

    from pipeline.models.folder import copy_whole, stored_dtype
    from pipeline.models.policy import load_policy
    from pipeline.tiny_base.model import parameter_count

    policy = load_policy(hub.model, hub.revision, dtype=torch.bfloat16)
    source = Path(policy.folder)
    copy_whole(source, folder)
    for file, content in policy.family.processor_files(policy.vision).items():
        if not (folder / file).is_file():
            write_json(folder / file, content)
    values = {"name": hub.model, "revision": hub.revision, "parameters": parameter_count(policy.model)}
    return {**values, "dtype": str(stored_dtype(source)).removeprefix("torch.")}
