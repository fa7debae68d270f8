"""The models of a study and their training curves."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.artifacts import read_jsonl
from trustdag.stats.design import Policy, StudyDesign

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainingRun:
    """One model of the study: a base, a given checkpoint, or a trained stage of one or more recipes."""

    model: str
    preferences: str
    chain: tuple[str, ...]
    seed: int | None
    method: str
    """The training method; `base` or `given` for a model that no stage trained."""
    folder: Path

    @property
    def name(self) -> str:
        """The stage's name; `base` for a base model."""
        return self.chain[-1] if self.chain else "base"

    @property
    def has_curves(self) -> bool:
        """Whether training left a curve: a model that was given rather than trained has none."""
        path = self.folder / "metrics.jsonl"
        return path.is_file() and path.stat().st_size > 0

    def curves(self) -> "pd.DataFrame":
        """metrics.jsonl as a table: `step`, `split`, and a column for each number."""
        import pandas as pd

        return pd.DataFrame(read_jsonl(self.folder / "metrics.jsonl"))


def models(design: StudyDesign, results: Path) -> list[TrainingRun]:
    """Every model of the study, base models first, each once.

    An earlier stage that is not among the policies is left out where a given checkpoint stood for it.
    """
    found: dict[Path, TrainingRun] = {}
    for name in dict.fromkeys(policy.model for policy in design.policies):
        folder = results / "models" / name / "base"
        found[folder] = TrainingRun(name, "", (), None, "base", folder)
    for policy in design.policies:
        for run in _stages(policy, results):
            if run.folder == results / "models" / policy.id or run.folder.is_dir():
                found.setdefault(run.folder, run)
    return list(found.values())


def runs(design: StudyDesign, results: Path) -> list[TrainingRun]:
    """The models of the study that training left curves of."""
    return [run for run in models(design, results) if run.has_curves]


def _stages(policy: Policy, results: Path) -> Iterator[TrainingRun]:
    """The models along a policy's chain, first to last."""
    if policy.seed is None:
        folder = results / "models" / policy.id
        yield TrainingRun(policy.model, "", tuple(folder.name.split("-")), None, "external", folder)
    for end in range(1, len(policy.chain) + 1):
        chain = policy.chain[:end]
        folder = results / "models" / policy.model / str(policy.preferences) / "-".join(chain) / f"seed{policy.seed}"
        method = policy.methods[end - 1] if policy.methods else chain[-1]
        yield TrainingRun(policy.model, str(policy.preferences), chain, policy.seed, method, folder)
