"""Attention that can be differentiated twice, in the precision of the model.

PyTorch's fused attention has no second derivative. transformers' eager attention computes its softmax in single
precision, also in a double-precision model. Imports torch and transformers.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv
from transformers.masking_utils import eager_mask

NAME = "trustdag_twice"


def use_twice_differentiable(model: PreTrainedModel) -> None:
    """Makes a model use `attend` as its attention function."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, eager_mask)
    model.set_attn_implementation(NAME)


def attend(
    _module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention of query (rows, heads, T, width) to key and value (rows, heads, S, width).

    Args:
        _module: The attention layer; unused.
        query: The queries.
        key: The keys.
        value: The values.
        attention_mask: (rows, 1, T, S), added to the scores.
        **options: `scaling` of the scores; other options are ignored.

    Returns:
        The output (rows, T, heads, width), and None in place of attention weights.
    """
    groups = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    scores = (query @ key.transpose(-1, -2)) * (options.get("scaling") or query.shape[-1] ** -0.5)
    if attention_mask is not None:
        scores = scores + attention_mask[..., : key.shape[-2]].to(scores.dtype)
    return (scores.softmax(-1) @ value).transpose(1, 2), None
