"""Gradients of single examples from one batched backward pass.

A linear layer's gradient for one example is the sum over its tokens of (output gradient) x (input). So the inputs of
the forward pass and the output gradients of one backward pass over a batch give the gradients of all of its examples
(Goodfellow 2015, arXiv 1510.01799). The same holds for embeddings and layer norms. Imports torch.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trustdag.attribution.layers import Layer


@dataclass(frozen=True)
class LayerTrace:
    """The inputs and the output gradients of one layer, for every row of a batch."""

    layer: Layer
    inputs: Tensor
    """(rows, tokens, in); of an embedding (rows, tokens) token ids; of a norm its normalized input."""
    output_gradients: Tensor
    """(rows, tokens, out)."""

    def of_examples(self, owners: Tensor, count: int) -> "LayerTrace":
        """The trace by example: the rows of one example are concatenated into one long row.

        Args:
            owners: (rows,) index of the example that each row belongs to; all examples have the same number of rows,
                and the first rows of all examples come first, in their order.
            count: How many examples.
        """
        if len(owners) == count:  # one row for each example, in their order
            return self
        order = torch.argsort(owners, stable=True)
        inputs, gradients = self.inputs[order], self.output_gradients[order]
        return LayerTrace(
            self.layer,
            inputs.reshape(count, -1, *inputs.shape[2:]),
            gradients.reshape(count, -1, gradients.shape[-1]),
        )

    def factors(self) -> tuple[Tensor, Tensor]:
        """The two factors of a linear layer's gradient.

        Returns:
            The inputs (examples, tokens, in), with a last column of ones where the layer has a bias; and the output
            gradients (examples, tokens, out). The gradient of an example is the sum over its tokens of their products.
        """
        if getattr(self.layer.module, "bias", None) is None:
            return self.inputs, self.output_gradients
        ones = self.inputs.new_ones(*self.inputs.shape[:-1], 1)
        return torch.cat([self.inputs, ones], dim=-1), self.output_gradients

    def gradients(self) -> Tensor:
        """(examples, weights): each example's gradient; of a linear layer out x (in and bias), row by row."""
        if self.layer.kind == "linear":
            inputs, gradients = self.factors()
            return (gradients.transpose(1, 2) @ inputs).flatten(1)
        if self.layer.kind == "embedding":
            return self._of_embedding()
        parts = [(self.output_gradients * self.inputs).sum(1)]
        if getattr(self.layer.module, "bias", None) is not None:
            parts.append(self.output_gradients.sum(1))
        return torch.cat(parts, dim=1)

    def product(self, vector: Tensor) -> Tensor:
        """(examples, 1): the products of one vector (weights,) with the gradients of a linear layer, not formed."""
        inputs, gradients = self.factors()
        shaped = vector.reshape(gradients.shape[-1], inputs.shape[-1])
        return ((inputs @ shaped.T) * gradients).sum((1, 2))[:, None]

    def _of_embedding(self) -> Tensor:
        module = self.layer.module
        assert isinstance(module, nn.Embedding)
        count, width = len(self.inputs), self.output_gradients.shape[-1]
        gradients = self.output_gradients.new_zeros(count, module.num_embeddings, width)
        ids = self.inputs.unsqueeze(-1).expand(-1, -1, width)
        gradients.scatter_add_(1, ids, self.output_gradients)
        if module.padding_idx is not None:
            gradients[:, module.padding_idx] = 0
        return gradients.flatten(1)


class Capture:
    """Records the inputs and output gradients of the selected layers while its hooks are on."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.layers = tuple(layers)
        self._inputs: dict[str, Tensor] = {}
        self._gradients: dict[str, Tensor] = {}

    def traces(self) -> list[LayerTrace]:
        """The trace of each layer in the last batch. A layer that the loss does not depend on has gradients of 0."""
        traces = []
        for layer in self.layers:
            inputs, gradients = self._inputs.pop(layer.name), self._gradients.pop(layer.name, None)
            if gradients is None:
                width = getattr(layer.module, "out_features", getattr(layer.module, "embedding_dim", inputs.shape[-1]))
                gradients = torch.zeros(*inputs.shape[:2], width).to(next(layer.module.parameters()))
            traces.append(LayerTrace(layer, inputs, gradients))
        return traces

    def keep(self, layer: Layer, inputs: Tensor, output: Tensor) -> None:
        """Called by a layer's forward hook.

        Args:
            layer: The layer that ran.
            inputs: Its input (rows, positions, features), or the ids of an embedding (rows, positions).
            output: Its output (rows, positions, features).
        """
        if layer.name in self._inputs:
            raise RuntimeError(f"{layer.name} ran twice in one forward pass; its gradient would be incomplete")
        self._inputs[layer.name] = _normalized(layer.module, inputs.detach())
        output.register_hook(lambda gradient: self._gradients.__setitem__(layer.name, gradient.detach()))

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """While active, records forward and backward passes of the model. No weight gets a gradient of its own."""
        handles = [layer.module.register_forward_hook(self._hook(layer)) for layer in self.layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, layer: Layer) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if not output.requires_grad:
                output = output.requires_grad_()
            self.keep(layer, inputs[0], output)
            return output

        return hook


def _normalized(module: nn.Module, inputs: Tensor) -> Tensor:
    """The tensor that a layer's weights multiply: the normalized input of a norm, the input of any other layer."""
    if not isinstance(module, nn.LayerNorm):
        return inputs
    return nn.functional.layer_norm(inputs, module.normalized_shape, eps=module.eps)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """While active, no weight requires a gradient: only the gradients that the hooks record are computed."""
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
