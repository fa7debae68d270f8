"""How many examples one forward pass takes on a CPU where the study does not say, and whether it recomputes.

Weights, gradients and AdamW's moments are there in any case; what a forward pass keeps for the backward pass may add a
share of them, and no more. The choice depends on the model, the data and the settings alone, never on the machine:
the order of sums, and so the last digits of the weights, follow from it.
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
"""What activations may add to the state, as a share of it."""
FLOOR = 256 << 20
"""Bytes that activations may take in any case."""
KEPT = 68
"""Bytes that a layer keeps for each token and unit of width, in fp32 (Korthikanti et al. 2022, equations 1 and 2)."""


@dataclass(frozen=True)
class ActivationBudget:
    """The tokens that one forward pass with gradients may read."""

    tokens: int

    @classmethod
    def of(cls, config: "PreTrainedConfig", trunks: int = 1) -> "ActivationBudget":
        """For a model of this configuration, of which `trunks` are trained at once."""
        text = config.get_text_config()
        width, layers = text.hidden_size, text.num_hidden_layers
        parameters = trunks * (12 * width**2 * layers + text.vocab_size * width)
        allowed = max(FLOOR, SHARE * STATE * parameters)
        return cls(int(allowed // (trunks * KEPT * width * layers)))

    def holds(self, tokens: int) -> bool:
        """Whether one example of so many tokens fits; if not, its activations are to be recomputed."""
        return tokens <= self.tokens

    def examples(self, tokens: int, share: int) -> int:
        """The most examples of at most so many tokens each that fit and divide `share`; at least one."""
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
