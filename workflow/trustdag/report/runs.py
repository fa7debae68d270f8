"""The models of a study and their training curves."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag.jsonfiles import EVERY, read_jsonl, read_object
from trustdag.layout import ModelId, Results
from trustdag.stats.design import Policy, StudyDesign

if TYPE_CHECKING:
    import pandas as pd


COUNTS = (int, dict)
MANIFEST = {
    "prompt_format": str,
    "parameters": int,
    "files?": {EVERY: str},
    "made_by?": dict,
    "facts?": {
        "pairs_used?": {"train?": int},
        "prompts?": int,
        **{f"{what}_{why}?": COUNTS for what in ("pairs", "prompts") for why in ("too_long", "with_control_tokens")},
    },
}
"""What the report reads of a model's manifest."""


@dataclass(frozen=True)
class TrainingRun:
    """A model of the study: a base model, an existing checkpoint, or a trained stage of one or more recipes."""

    id: ModelId
    method: str
    """The training method; `base` or `given` for a model that the study did not train."""
    folder: Path

    @property
    def model(self) -> str:
        """Name of the base model."""
        return self.id.model

    @property
    def preferences(self) -> str:
        """Name of the preference set; empty for a model that the study did not train."""
        return self.id.preferences or ""

    @property
    def chain(self) -> tuple[str, ...]:
        """The stages of its chain."""
        return self.id.chain

    @property
    def seed(self) -> int | None:
        """Training seed; None for a model that the study did not train."""
        return self.id.seed

    @property
    def name(self) -> str:
        """The stage's name; `base` for a base model."""
        return self.chain[-1] if self.chain else "base"

    @property
    def has_curves(self) -> bool:
        """Whether it has a training curve, which only models trained in the study have."""
        path = self.folder / "metrics.jsonl"
        return path.is_file() and path.stat().st_size > 0

    def manifest(self) -> dict[str, Any]:
        """What the model is and what made it. Raises UserError for a damaged manifest."""
        mend = f"delete {self.folder} and run snakemake again"
        return read_object(self.folder / "manifest.json", MANIFEST, "a model's manifest", mend)

    def curves(self) -> "pd.DataFrame":
        """metrics.jsonl as a table: `step`, `split`, and a column for each number."""
        import pandas as pd

        return pd.DataFrame(read_jsonl(self.folder / "metrics.jsonl", {"step": int, "split": str}))


def models(design: StudyDesign, results: Path) -> list[TrainingRun]:
    """Every model of the study, base models first, each once.

    An earlier stage that is no policy is omitted if an existing checkpoint replaced it.
    """
    files = Results(str(results))
    listed: dict[ModelId, TrainingRun] = {}
    for name in dict.fromkeys(policy.model for policy in design.policies):
        base = ModelId(name, ())
        listed[base] = TrainingRun(base, "base", Path(files.model(base, "")))
    for policy in design.policies:
        for run in _stages(policy, files):
            if str(run.id) == policy.id or run.folder.is_dir():
                listed.setdefault(run.id, run)
    return list(listed.values())


def runs(design: StudyDesign, results: Path) -> list[TrainingRun]:
    """The models of the study with training curves."""
    return [run for run in models(design, results) if run.has_curves]


def _stages(policy: Policy, files: Results) -> Iterator[TrainingRun]:
    """The models along a policy's chain, first to last."""
    model_id = ModelId.parse(policy.id)
    if not model_id.is_trained:
        yield TrainingRun(model_id, "external", Path(files.model(model_id, "")))
        return
    for count in range(1, len(model_id.chain) + 1):
        stage = model_id.after(count)
        method = policy.methods[count - 1] if policy.methods else stage.chain[-1]
        yield TrainingRun(stage, method, Path(files.model(stage, "")))
