"""Results of a study besides its statistics: models, data cards, run times."""

from pathlib import Path
from typing import Any

import pandas as pd

from trustdag.artifacts import provenance
from trustdag.jsonfiles import EVERY, read_object
from trustdag.layout import ModelId, Results, job_kind
from trustdag.report.numbers import number
from trustdag.report.origins import made_by_other_code
from trustdag.report.runs import TrainingRun, models
from trustdag.stats.design import StudyDesign

REPLY_PARTS = ("prompt", "chosen", "rejected")
MODEL_COLUMNS = ["model", "preferences", "stage", "seed", "method", "prompt_format", "parameters", "steps"]
MODEL_COLUMNS += ["last_train", "last_validation", "left_out"]
TIME_COLUMNS = ["stage", "jobs", "seconds", "longest", "memory_mib"]
OF_MODELS = ("models", "replies", "records", "items")
"""Folders of benchmarks with a file for each model or vertical."""
NUMBER = (int, float)
DATA_CARD = {
    "settings": {"source": str},
    "records": {"read": int, "kept": int, "dropped": {EVERY: {"count": int}}},
    "splits": {
        EVERY: {
            "pairs": int,
            "prompts": int,
            "characters?": {part: dict.fromkeys(("median", "p5", "p95"), NUMBER) for part in REPLY_PARTS},
            "chosen_longer?": NUMBER,
        }
    },
    "sha256": {EVERY: str},
}
"""What the page shows of a preference set's card."""
SHOWN = ("loss", "accuracy", "reward", "kl")
"""Metrics of a training curve whose last value is shown."""


def model_table(design: StudyDesign, results: Path) -> pd.DataFrame:
    """A row for each model."""
    rows = []
    for run in models(design, results):
        manifest = run.manifest()
        rows.append(
            {
                "model": run.model,
                "preferences": run.preferences,
                "stage": run.name,
                "seed": run.seed,
                "method": run.method,
                "prompt_format": manifest["prompt_format"],
                "parameters": manifest["parameters"],
                "left_out": left_out(manifest.get("facts", {})),
                **(_last_values(run) if run.has_curves else {}),
            }
        )
    frame = pd.DataFrame(rows, columns=MODEL_COLUMNS)
    return frame.astype({"seed": "Int64", "steps": "Int64"})


def left_out(facts: dict[str, Any]) -> str:
    """The dropped training examples of a stage, such as `40 of 186 pairs too long`; empty for none."""
    parts = []
    for what, used in (("pairs", facts.get("pairs_used", {}).get("train")), ("prompts", facts.get("prompts"))):
        if used is None:
            continue
        dropped = {why: facts.get(f"{what}_{why}", 0) for why in ("too_long", "with_control_tokens")}
        dropped = {why: count["train"] if isinstance(count, dict) else count for why, count in dropped.items()}
        whole = used + sum(dropped.values())
        parts += [f"{count:,} of {whole:,} {what} {why.replace('_', ' ')}" for why, count in dropped.items() if count]
    return ", ".join(parts)


def _last_values(run: TrainingRun) -> dict[str, Any]:
    curves = run.curves()
    last_values: dict[str, Any] = {"steps": int(curves["step"].max())}
    for split in ("train", "validation"):
        rows = curves[curves["split"] == split]
        if len(rows):
            last = rows.iloc[-1]
            shown = [f"{name} {number(last[name])}" for name in SHOWN if name in last and pd.notna(last[name])]
            last_values[f"last_{split}"] = ", ".join(shown)
    return last_values


def software(design: StudyDesign, results: Path) -> dict[str, Any]:
    """The page's own provenance, and the results of the study whose code has changed since."""
    return {"own": provenance(), "other": made_by_other_code(design, results)}


def data_cards(design: StudyDesign, results: Path) -> dict[str, dict[str, Any]]:
    """The card of each preference set that the study's policies were trained on."""
    names = dict.fromkeys(policy.preferences for policy in design.policies if policy.preferences)
    files = Results(str(results))
    return {name: read_object(Path(files.data(name, "card.json")), DATA_CARD, "a data card") for name in names}


def _jobs_of(design: StudyDesign) -> set[str]:
    """The benchmarks of the jobs that make and measure the study's present models, without their suffix."""
    policies = [ModelId.parse(policy.id) for policy in design.policies]
    stages = {policy.after(count) for policy in policies for count in range(1, len(policy.chain) + 1)}
    models = {*policies, *stages, *(ModelId(policy.model, ()) for policy in policies)}
    asked = {f"{policy.id}/{vertical}" for policy in design.policies for vertical in design.verticals}
    return {
        *(f"models/{model_id}" for model_id in models),
        *(f"{kind}/{name}" for kind in ("replies", "records") for name in asked),
        *(f"items/{vertical}" for vertical in design.verticals),
    }


def run_times(benchmarks: Path | None, design: StudyDesign) -> pd.DataFrame:
    """Jobs, seconds and memory by kind of job, from Snakemake's benchmark files; the slowest kind first.

    Files of models and verticals that the study no longer has do not count. Snakemake creates a file when its job
    starts: that of a job that was killed stays empty, and has no time.
    """
    rows = []
    present = _jobs_of(design)
    written = [path for path in benchmarks.rglob("*.tsv") if path.stat().st_size] if benchmarks else []
    for path in sorted(written):
        name = path.relative_to(benchmarks) if benchmarks else path
        if path.stem == "report" or (name.parts[0] in OF_MODELS and str(name.with_suffix("")) not in present):
            continue
        table = pd.read_csv(path, sep="\t")
        if len(table):
            kind = job_kind(name)
            memory = pd.to_numeric(table["max_rss"], errors="coerce").max()
            rows.append({"stage": kind, "seconds": float(table["s"].sum()), "memory_mib": float(memory)})
    if not rows:
        return pd.DataFrame(columns=TIME_COLUMNS)
    grouped = pd.DataFrame(rows).groupby("stage")
    return (
        grouped.agg(jobs=("seconds", "size"), seconds=("seconds", "sum"), longest=("seconds", "max"),
                    memory_mib=("memory_mib", "max"))
        .reset_index()
        .sort_values("seconds", ascending=False)[TIME_COLUMNS]
        .reset_index(drop=True)
    )  # fmt: skip
