"""The log-probabilities that TRL's trainers ask of a model, where memory is not what is scarce.

TRL patches the model so that it computes them in tiles that are recomputed in the backward pass: right for a large
vocabulary on a GPU, but on a CPU it doubles the time of a step. Imports torch: import it inside functions only.
"""

from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput


def use_cpu_logprobs(model: PreTrainedModel) -> None:
    """Makes `model(..., labels=labels, fused_lm_head=True)` take the log-probabilities from the model's own logits.

    Only positions with a label are normalised. Entropy and mean logits, which nobody reads, are NaN.
    """
    original = type(model).forward

    def forward(*args: Any, fused_lm_head: bool = False, labels: torch.Tensor | None = None, **kwargs: Any) -> Any:
        if not fused_lm_head or labels is None:
            return original(model, *args, labels=labels, **kwargs)
        logits = original(model, *args, **kwargs).logits[:, :-1]  # (B, T-1, V)
        mask = labels[:, 1:] != -100
        wanted, labels = logits[mask], labels[:, 1:][mask]  # (N, V), (N,)
        log_probs = -cross_entropy(wanted.float(), labels, reduction="none")
        unread = log_probs.new_full(mask.shape, torch.nan)
        return FusedCausalLMOutput(
            loss=-log_probs.mean(),
            log_probs=log_probs.new_zeros(mask.shape).masked_scatter(mask, log_probs),
            entropy=unread,
            mean_logits=unread,
            is_top1=torch.zeros_like(mask).masked_scatter(mask, wanted.detach().argmax(-1) == labels),
            label_mask=mask,
        )

    model.forward = forward
