"""The trained models of a study and their training curves."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.artifacts import read_jsonl
from trustdag.stats.study import Cells

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Run:
    """One trained model: a stage of one or more recipes."""

    model: str
    preferences: str
    chain: tuple[str, ...]
    seed: int | None
    method: str
    folder: Path

    @property
    def name(self) -> str:
        """The stage's name; `base` for a base model."""
        return self.chain[-1] if self.chain else "base"

    def curves(self) -> "pd.DataFrame":
        """metrics.jsonl as a table: `step`, `split`, and a column for each number."""
        import pandas as pd

        return pd.DataFrame(read_jsonl(self.folder / "metrics.jsonl"))


def runs(cells: Cells, results: Path) -> list[Run]:
    """Every model of the study with training curves, base models first, each once.

    A model that was given rather than trained has no curves and is left out.
    """
    found: dict[Path, Run] = {}
    for model in dict.fromkeys(policy.model for policy in cells.policies):
        folder = results / "models" / model / "base"
        found[folder] = Run(model, "", (), None, "base", folder)
    for policy in cells.policies:
        for end in range(1, len(policy.chain) + 1):
            chain = policy.chain[:end]
            folder = (
                results / "models" / policy.model / str(policy.preferences) / "-".join(chain) / f"seed{policy.seed}"
            )
            method = policy.methods[end - 1] if policy.methods else chain[-1]
            found[folder] = Run(policy.model, str(policy.preferences), chain, policy.seed, method, folder)
    return [run for run in found.values() if _has_curves(run.folder)]


def _has_curves(folder: Path) -> bool:
    path = folder / "metrics.jsonl"
    return path.is_file() and path.stat().st_size > 0
