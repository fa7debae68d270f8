"""A model card for each policy, whose metadata hold the results as the Hugging Face hub reads them (model-index)."""

from pathlib import Path
from typing import Any

from trustdag.layout import ModelId
from trustdag.report.answer import kind_of
from trustdag.report.draw import rows_of
from trustdag.report.numbers import interval, number, signed, title
from trustdag.results.series import headline_changes, headlines
from trustdag.results.study import StudyResults
from trustdag.stats.design import Policy

TASK = "text-generation"
DIGITS = 6
"""Decimals of a result in the metadata."""


def write(study: StudyResults, folder: Path) -> None:
    """Writes FOLDER/POLICY/README.md for each policy; the slashes of its id become hyphens."""
    for policy in study.design.policies:
        path = folder / policy.id.replace("/", "-") / "README.md"
        path.parent.mkdir()
        path.write_text(card(study, policy), encoding="utf-8")


def card(study: StudyResults, policy: Policy) -> str:
    """The card's text, metadata first."""
    metadata = card_data(study, policy).to_yaml(line_break="\n").rstrip()
    model = ModelId.parse(policy.id)
    stages = " -> ".join(model.chain) or "none: the base model"
    said = [f"# {policy.recipe} of {policy.model}, study {study.design.study}", f"Stages: {stages}."]
    said += [study.design.notice] if study.design.notice else []
    lines = ["| vertical | metric | level | change since the base model | verdict |", "|---|---|---|---|---|"]
    by_vertical = {row["vertical"]: row for row in rows_of(headline_changes(study, policy))}
    for row in rows_of(headlines(study, policy)):
        change = by_vertical.get(row["vertical"])
        level = f"{number(row['value'])} {interval(row['low'], row['high'])}"
        shown = f"{signed(change['difference'])} {interval(change['low'], change['high'])}" if change else ""
        lines.append(
            f"| {row['vertical']} | {title(row['metric'])} | {level} | {shown} | {kind_of(change) if change else ''} |"
        )
    made = "Written by `trustdag export --to model-card`. The report page of the study says how the numbers were made."
    return f"---\n{metadata}\n---\n\n" + "\n\n".join([*said, "\n".join(lines), made]) + "\n"


def card_data(study: StudyResults, policy: Policy) -> Any:
    """The card's metadata, as `huggingface_hub.ModelCardData`."""
    from huggingface_hub import EvalResult, ModelCardData

    cards = {name: study.cards[name] for name in study.design.verticals}
    results = []
    for row in rows_of(headlines(study, policy)):
        own = cards[row["vertical"]]
        limits = [round(float(row[end]), DIGITS) for end in ("low", "high")]
        direction = row["direction"] if isinstance(row["direction"], str) else ""
        results.append(
            EvalResult(
                task_type=TASK,
                dataset_type=f"trustdag/{row['vertical']}",
                dataset_name=f"{title(row['vertical'])} ({own['settings']['source']})",
                dataset_args={"items_sha256": own["sha256"], "version": own["version"]},
                metric_type=row["metric"],
                metric_name=title(row["metric"]),
                metric_value=round(float(row["value"]), DIGITS),
                metric_args={"interval": limits, "items": int(row["parsed"]), "better": direction},
            )
        )
    section = study.configuration.get("preferences", {}).get(policy.preferences or "", {})
    base = study.configuration.get("models", {}).get(policy.model, {}).get("base", {})
    return ModelCardData(
        language="en",
        library_name="transformers",
        pipeline_tag=TASK,
        tags=["trustdag", *dict.fromkeys(policy.methods)],
        base_model=base.get("name"),
        datasets=section.get("name"),
        model_name=f"{study.design.study}: {policy.id}",
        eval_results=results or None,
    )
