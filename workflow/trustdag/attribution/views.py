"""Reduced features of gradients: those of low-rank adapters, and random projections.

Both replace a linear layer's gradient (out x in) by products of its factors with small matrices. Imports torch.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from trustdag.attribution.capture import LayerTrace
from trustdag.attribution.layers import Layer
from trustdag.errors import UserError


@dataclass(frozen=True)
class LoraView:
    """The gradients of the two factors of a low-rank adapter of each linear layer, W = W0 + B A.

    The factors are the first singular vectors of the change that the stage made: trained weights minus start weights.
    So they also exist for a stage that trained all weights.
    """

    factors: dict[str, tuple[Tensor, Tensor]]
    """By layer: A (rank, in) and B (out, rank)."""

    @classmethod
    def of_change(cls, layers: tuple[Layer, ...], start: Any, rank: int) -> "LoraView":
        """The adapters of what a stage changed.

        Args:
            layers: Linear layers of the trained model.
            start: The model that the stage started from.
            rank: Rank of each adapter; a layer with few outputs, such as a reward model's score, has one of as many.

        Raises:
            UserError: A layer has fewer inputs than the rank.
        """
        before = dict(start.named_modules())
        factors = {}
        for layer in layers:
            weight: Tensor = layer.module.weight  # type: ignore[assignment]
            outputs, inputs = weight.shape
            _check_rank("rank", rank, layer, inputs)
            kept = min(rank, outputs)
            change = weight.detach().double() - before[layer.name].weight.detach().double()
            first, second = leading_factors(change, kept)
            factors[layer.name] = (first.to(weight.dtype), second.to(weight.dtype))
        return cls(factors)

    def tensors(self) -> dict[str, Tensor]:
        """All factors by a name."""
        return {
            side + layer: factor
            for layer, both in self.factors.items()
            for side, factor in zip("AB", both, strict=True)
        }

    @classmethod
    def of_tensors(cls, tensors: dict[str, Tensor]) -> "LoraView":
        """The adapters of these factors, named as in `tensors`."""
        layers = [name[1:] for name in tensors if name[0] == "A"]
        return cls({layer: (tensors[f"A{layer}"], tensors[f"B{layer}"]) for layer in layers})

    def size(self, layer: Layer) -> int:
        """Weights of both factors."""
        first, second = self.factors[layer.name]
        return first.numel() + second.numel()

    def features(self, trace: LayerTrace) -> Tensor:
        """(examples, rank x in + out x rank): the gradients of A, B' G, and of B, G A', without G."""
        first, second = self.factors[trace.layer.name]
        inputs, outputs = trace.inputs, trace.output_gradients
        of_first = (outputs @ second).transpose(1, 2) @ inputs
        of_second = outputs.transpose(1, 2) @ (inputs @ first.T)
        return torch.cat([of_first.flatten(1), of_second.flatten(1)], dim=1)

    def products(self, trace: LayerTrace, vectors: Tensor) -> Tensor:
        """(examples, vectors)."""
        return self.features(trace) @ vectors.T


@dataclass(frozen=True)
class ProjectedView:
    """Random projections of both factors of each linear layer's gradient: P G Q, with independent normal entries."""

    width: int
    """Rows of P and columns of Q."""
    seed: int
    matrices: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """By layer: Q (in and bias, width) and P (out, width)."""

    @classmethod
    def of_layers(cls, layers: tuple[Layer, ...], width: int, seed: int) -> "ProjectedView":
        """Projections of these layers.

        Args:
            layers: Linear layers.
            width: Rows of P and columns of Q.
            seed: Seed of their entries.

        Raises:
            UserError: A layer has fewer inputs or outputs than the width.
        """
        view = cls(width, seed)
        generator = torch.Generator().manual_seed(seed)
        for layer in layers:
            module = layer.module
            assert isinstance(module, nn.Linear), "only linear layers are projected"
            fan_in = module.in_features + (module.bias is not None)
            _check_rank("projection", width, layer, fan_in)
            # A layer with few outputs, such as a reward model's score, keeps them all.
            rows = min(width, module.out_features)
            inputs = torch.randn(fan_in, width, generator=generator, dtype=torch.float64) / width**0.5
            outputs = torch.randn(module.out_features, rows, generator=generator, dtype=torch.float64) / rows**0.5
            view.matrices[layer.name] = (inputs.to(module.weight), outputs.to(module.weight))
        return view

    def size(self, layer: Layer) -> int:
        """Features of a layer."""
        inputs, outputs = self.matrices[layer.name]
        return inputs.shape[1] * outputs.shape[1]

    def features(self, trace: LayerTrace) -> Tensor:
        """(examples, rows x columns)."""
        inputs, outputs = trace.factors()
        columns, rows = self.matrices[trace.layer.name]
        return ((outputs @ rows).transpose(1, 2) @ (inputs @ columns)).flatten(1)

    def products(self, trace: LayerTrace, vectors: Tensor) -> Tensor:
        """(examples, vectors)."""
        return self.features(trace) @ vectors.T


def leading_factors(change: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The best approximation of a matrix by a product B A of low rank, both factors equally large.

    The singular vectors of the narrower side are eigenvectors of its products, much cheaper to find than all of them;
    their images under the matrix are the others, times the singular values.

    Args:
        change: (out, in).
        rank: At most the narrower side.

    Returns:
        A (rank, in) and B (out, rank).
    """
    if len(change) < change.shape[1]:
        second, first = leading_factors(change.T, rank)
        return first.T, second.T
    right = torch.linalg.eigh(change.T @ change)[1].flip(1)[:, :rank]
    images = change @ right
    root = images.norm(dim=0).sqrt()
    return (right * root).T, images / root.clamp(min=torch.finfo(change.dtype).tiny)


def _check_rank(key: str, wanted: int, layer: Layer, most: int) -> None:
    if wanted > most:
        raise UserError(f"attribution: {key}: {wanted} is more than the {most} that {layer.name} has; lower it")
