"""Stops a run whose loss is not finite or explodes, before a checkpoint is written."""

import math
from pathlib import Path

from trustdag.errors import UserError
from trustdag.jsonfiles import read_jsonl

EXPLOSION = 5.0
"""The loss has exploded if it is above this multiple of the first logged loss, or of 1 if that is larger."""


class DivergenceGuard:
    """Compares the loss of each logged line with the first one."""

    def __init__(self, name: str, steps: int, metrics: Path) -> None:
        """`metrics` is the run's metrics.jsonl, which contains the first loss of a resumed run."""
        self.name, self.steps, self.metrics = name, steps, metrics
        records = read_jsonl(metrics, {"split": str, "loss?": (int, float, type(None))}) if metrics.is_file() else []
        self._first = next((record["loss"] for record in records if record["split"] == "train"), None)

    def check(self, step: int, values: dict[str, float]) -> None:
        """Raises UserError if `loss` or `grad_norm` is not finite, or the loss has exploded."""
        loss, norm = values["loss"], values.get("grad_norm", 0.0)
        if self._first is None:
            self._first = loss
        limit = EXPLOSION * max(1.0, self._first)
        if math.isfinite(loss) and math.isfinite(norm) and loss <= limit:
            return
        raise UserError(
            f"{self.name}: the training diverged: at step {step} of {self.steps} the loss is {loss:.4g} (limit "
            f"{limit:.4g}) and the gradient norm {norm:.4g}; see {self.metrics}\n"
            f"lower learning_rate ({values.get('learning_rate', math.nan):.3g} then), or raise warmup or batch_size"
        )
