"""What models/adapters.py relies on inside other libraries still exists; if not, an upgrade needs a change there."""

import torch
from transformers import DynamicCache, GPTNeoXConfig, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

from trustdag.models import adapters


def test_transformers_names_the_attention_of_a_model() -> None:
    assert hasattr(PreTrainedConfig(), "_attn_implementation"), (
        "transformers: PreTrainedConfig._attn_implementation is gone; adapt models/adapters.uses_sdpa"
    )


def test_torch_has_onednns_product() -> None:
    assert hasattr(torch.ops.mkldnn, "_linear_pointwise"), (
        "torch: torch.ops.mkldnn._linear_pointwise is gone; adapt models/adapters.onednn_linear"
    )


def test_onednns_product_is_that_of_a_linear_layer() -> None:
    # given
    x, weight, bias = torch.randn(2, 3, 8), torch.randn(5, 8), torch.randn(5)
    # when
    product = adapters.onednn_linear(x, weight, bias)
    # then
    assert torch.allclose(product, torch.nn.functional.linear(x, weight, bias), atol=1e-5)


def test_a_cache_has_layers_that_can_be_replaced() -> None:
    # given
    cache = DynamicCache(config=GPTNeoXConfig(num_hidden_layers=2, hidden_size=8, num_attention_heads=2))
    assert [type(layer) for layer in cache.layers] == [DynamicLayer, DynamicLayer], (
        "transformers: DynamicCache.layers holds other layers; adapt models/adapters.replace_growing_layers"
    )

    class Replacement(DynamicLayer):
        """Another layer."""

    # when
    adapters.replace_growing_layers(cache, Replacement)
    # then
    assert [type(layer) for layer in cache.layers] == [Replacement, Replacement]


def test_a_layer_of_another_class_keeps_its_parameters() -> None:
    # given
    class Doubled(torch.nn.Linear):
        """Twice a linear layer."""

        def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
            return 2 * super().forward(input)

    layer, x = torch.nn.Linear(3, 2), torch.randn(4, 3)
    expected = 2 * layer(x)
    # when
    adapters.become(layer, Doubled)
    # then
    assert torch.equal(layer(x), expected)
