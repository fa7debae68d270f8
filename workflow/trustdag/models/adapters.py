"""Private names of other libraries that the room `models` uses, and library objects that it changes in place.

| name | since | what and why |
|---|---|---|
| `PreTrainedConfig._attn_implementation` | transformers 5.23 | Read: only models that use SDPA get our attention. |
| `torch.ops.mkldnn._linear_pointwise` | torch 2.13 | Called: oneDNN's product, twice as fast as MKL's on AMD. |
| `Module.__class__` | torch 2.13 | Set: a layer becomes `OneDNNLinear` and keeps its parameters and hooks. |
| `Cache.layers`, `DynamicLayer` | transformers 5.23 | Replaced: our layers grow in place instead of by copies. |

tests/unit/models/test_adapters.py checks that the names still exist. Imports torch and transformers: import it inside
functions, or from modules that import torch themselves.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin, DynamicLayer


def uses_sdpa(model: PreTrainedModel) -> bool:
    """Whether the model attends by PyTorch's `scaled_dot_product_attention`."""
    return bool(model.config._attn_implementation == "sdpa")


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """oneDNN's product.

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,), or None.

    Returns:
        (..., out).
    """
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def become(module: nn.Module, kind: type[nn.Module]) -> None:
    """Changes the class of a layer to one with the same parameters."""
    module.__class__ = kind


def replace_growing_layers(cache: DynamicCache, new_layer: Callable[[], CacheLayerMixin]) -> None:
    """Replaces each layer of a cache that grows by copies. Layers of other kinds are kept."""
    cache.layers = [new_layer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
