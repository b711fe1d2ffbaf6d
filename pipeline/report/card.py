"""The model card in the hub's format, made from the run's own files; nothing in it is written by hand."""

from collections import Counter
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from pipeline.escape import markdown_cell
from pipeline.report import controls, facts, headline
from pipeline.report.inputs import ReportInputs
from pipeline.report.page import asset, environment
from pipeline.reports import scored_of

RECIPE = ("seed", "prompts", "extract_frames", "train_grpo")
STAND_IN = (
    "The base is **not** a downloaded vision-language model. It is a {title} architecture of a few hundred thousand "
    "parameters, made and pretrained by the pipeline on rendered clips, and stands in for one so that the whole road "
    "can be walked on a laptop. It knows nothing beyond that rendered world."
)


def model_card(inputs: ReportInputs) -> str:
    """The card as Markdown with its YAML header."""
    base = inputs.reports.get("prepare_model", {}).get("values", {})
    recipe = str(base.get("recipe", "unknown"))
    family = inputs.provenance.get("family", {})
    title = str(family.get("title", "vision-language"))
    tags = ["egocentric-video", "grpo", "multiple-choice-video-question-answering"]
    data = ModelCardData(
        language="en",
        license="mit" if recipe == "tiny" else "other",
        license_name=None if recipe == "tiny" else "licences of the base model and of the training data",
        library_name="transformers",
        pipeline_tag="video-text-to-text",
        base_model=_base_model(base),
        tags=[*tags, str(family["model_type"])] if family else tags,
        model_name="egovlm-policy",
        eval_results=_results(inputs),
    )
    markdown = environment().overlay(autoescape=False)
    markdown.filters |= {"cell": markdown_cell, "estimate": _estimate, "percent": headline.percent}
    body = markdown.from_string(asset("model_card.md.j2")).render(
        sentence=headline.sentence(inputs.metrics),
        cautions=headline.cautions(inputs.metrics, inputs.controls),
        lines=headline.lines(inputs.controls),
        control_rows=controls.control_rows(inputs.controls),
        recipe=recipe,
        title=title,
        stand_in=STAND_IN.format(title=title) if recipe == "tiny" else "",
        base=facts.flatten(base) if base else [],
        recipe_yaml=_recipe(inputs.provenance),
        licences=_licences(inputs),
        leakage=facts.flatten(inputs.leakage) if inputs.leakage else [],
        versions=facts.library_versions(inputs.reports),
        hashes=inputs.hashes,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}")) + "\n"


def _base_model(base: dict[str, Any]) -> str | None:
    """The hub id if the base came from the hub."""
    name = str(base.get("model", base.get("name", "")))
    return name if name.count("/") == 1 and not name.startswith((".", "/")) else None


def _estimate(score: controls.Score | None) -> str:
    """`73.8 % [69.4 %, 77.8 %]`."""
    if score is None:
        return "–"
    return f"{headline.percent(score.value)} [{headline.percent(score.low)}, {headline.percent(score.high)}]"


def _recipe(provenance: dict[str, Any]) -> str:
    """The params that made the policy, as YAML; "" if the folder does not hold them."""
    params = provenance.get("params", {})
    chosen = {name: params[name] for name in RECIPE if name in params}
    return yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True, width=110) if chosen else ""


def _results(inputs: ReportInputs) -> list[EvalResult] | None:
    """The headline as the hub shows it; None if there is none (the hub takes no empty list)."""
    metrics = inputs.metrics
    if "accuracy" not in metrics:
        return None
    tested = {q.source for q in inputs.questions if q.split == "test"}
    name = str(metrics.get("benchmark", "all"))
    name = "+".join(sorted(tested)) if name == "all" and tested else name
    return [
        EvalResult(
            task_type="video-text-to-text",
            dataset_type=name,
            dataset_name=f"{name} ({scored_of(metrics)})",
            metric_type="accuracy",
            metric_name="accuracy, greedy, reasoning prompt",
            metric_value=metrics["accuracy"],
        )
    ]


def _licences(inputs: ReportInputs) -> list[tuple[str, str, str, int]]:
    """(source, licence, split, questions)."""
    counts = Counter((q.source, q.licence, q.split) for q in inputs.questions)
    return [(*key, number) for key, number in sorted(counts.items())]
