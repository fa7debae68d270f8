"""Stops a run whose loss is no longer a number or explodes, before a checkpoint keeps the damage."""

import math

from trustdag.errors import UserError
from trustdag.train.metrics import MetricsLog


def check_finite(name: str, step: int, steps: int, values: dict[str, float], limit: float, log: MetricsLog) -> None:
    """Raises UserError if the loss or the gradient norm is not finite, or the loss is above `limit`."""
    loss, norm, rate = values["loss"], values.get("grad_norm", 0.0), values.get("learning_rate", math.nan)
    if math.isfinite(loss) and math.isfinite(norm) and loss <= limit:
        return
    raise UserError(
        f"{name}: the training diverged: at step {step} of {steps} the loss is {loss:.4g} (limit {limit:.4g}) and the "
        f"gradient norm {norm:.4g}; see {log.path}\n"
        f"lower learning_rate (it was {rate:.3g} here) or max_grad_norm, or raise warmup or batch_size"
    )
