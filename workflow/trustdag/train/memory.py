"""Default of `device_batch_size` and of `gradient_checkpointing` on a CPU.

The activations of a forward pass may add a limited share to the memory of weights, gradients and AdamW's moments. The
choice depends on the model, the data and the settings, and not on the machine, because it decides the order of sums and
so the last digits of the weights.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trustdag.train.session import Batches, batches, share_of_process
from trustdag.train.settings import SupervisedSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

STATE = 16
"""Bytes for each parameter: weight, gradient and AdamW's two moments, in fp32."""
SHARE = 0.2
"""Largest memory of activations, as a share of the state."""
FLOOR = 256 << 20
"""Memory of activations that is always allowed, in bytes."""
KEPT = 68
"""Bytes that a layer keeps for each token and unit of width, in fp32 (Korthikanti et al. 2022, equations 1 and 2)."""


@dataclass(frozen=True)
class ActivationBudget:
    """The largest number of tokens in a forward pass with gradients."""

    tokens: int

    @classmethod
    def of(cls, config: "PreTrainedConfig", trunks: int = 1) -> "ActivationBudget":
        """The budget of a model with this configuration, of which `trunks` copies are trained together."""
        text = config.get_text_config()
        width, layers = text.hidden_size, text.num_hidden_layers
        parameters = trunks * (12 * width**2 * layers + text.vocab_size * width)
        allowed = max(FLOOR, SHARE * STATE * parameters)
        return cls(int(allowed // (trunks * KEPT * width * layers)))

    def holds(self, tokens: int) -> bool:
        """Whether one example of this many tokens fits. If not, its activations must be recomputed."""
        return tokens <= self.tokens

    def examples(self, tokens: int, share: int) -> int:
        """The largest divisor of `share` for which as many examples of at most `tokens` tokens fit; at least one."""
        most = max(1, self.tokens // tokens)
        return max(count for count in range(1, share + 1) if share % count == 0 and count <= most)


@dataclass(frozen=True)
class Passes:
    """How the examples of one optimizer step pass through the model."""

    batches: Batches
    recompute: bool
    """Whether activations are computed again in the backward pass."""

    @classmethod
    def of(cls, config: "PreTrainedConfig", settings: SupervisedSettings, longest: int) -> "Passes":
        """As the settings say; where they do not, on a CPU as the budget of activations allows.

        Args:
            config: The model's configuration.
            settings: The method's settings.
            longest: Tokens of the longest example, of both its sequences where it has two.
        """
        import torch

        fitting, recompute = None, settings.gradient_checkpointing
        if not torch.cuda.is_available():
            budget = ActivationBudget.of(config)
            fitting = budget.examples(longest, share_of_process(settings))
            recompute = not budget.holds(longest) if recompute is None else recompute
        return cls(batches(settings, fitting), bool(recompute))
