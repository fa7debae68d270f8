"""Which weights of a model are attributed: layers by kind, named, grouped and selected. Imports torch."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from trustdag.errors import UserError

LayerKind = Literal["linear", "embedding", "norm"]
KINDS: dict[LayerKind, type[nn.Module]] = {"linear": nn.Linear, "embedding": nn.Embedding, "norm": nn.LayerNorm}
"""The kinds of module whose gradients of single examples are computed."""


@dataclass(frozen=True)
class Layer:
    """One module that has weights, and its position in the model."""

    name: str
    """The module's name in the model."""
    group: str
    """Scores are summed over the layers of a group: `block 3`, or the name of a module outside the numbered blocks."""
    kind: LayerKind
    module: nn.Module

    @property
    def size(self) -> int:
        """Number of weights, the bias included."""
        return sum(parameter.numel() for parameter in self.module.parameters(recurse=False))

    @property
    def widths(self) -> int:
        """Numbers of a token in the layer's input and output."""
        weight = self.module.get_parameter("weight")
        return sum(weight.shape) if self.kind == "linear" else 2 * weight.shape[-1]


@dataclass(frozen=True)
class Selection:
    """The layers that are attributed, and the weights that are left out."""

    layers: tuple[Layer, ...]
    parameters: int
    """Weights of the whole model."""
    left_out: tuple[str, ...]
    """Names of the weights that no selected layer holds."""

    @property
    def selected(self) -> int:
        """Weights of the selected layers."""
        return sum(layer.size for layer in self.layers)

    def changed_since(self, start: nn.Module) -> "Selection":
        """The selected layers whose weights a stage changed; one that trained adapters leaves others as they were.

        Args:
            start: The model that the stage started from.

        Raises:
            UserError: No selected layer changed.
        """
        before = dict(start.named_modules())
        same = {
            layer.name
            for layer in self.layers
            if all(
                weight.detach().cpu().equal(before[layer.name].get_parameter(name).detach().cpu())
                for name, weight in layer.module.named_parameters(recurse=False)
            )
        }
        layers = tuple(layer for layer in self.layers if layer.name not in same)
        if not layers:
            raise UserError("attribution: layers: the stage changed none of the selected layers; select others")
        unchanged = tuple(
            f"{layer.name}.{name}"
            for layer in self.layers
            if layer.name in same
            for name, _ in layer.module.named_parameters(recurse=False)
        )
        return Selection(layers, self.parameters, self.left_out + unchanged)

    def __str__(self) -> str:
        share = 100 * self.selected / self.parameters
        text = f"{len(self.layers)} layers with {self.selected:,} of {self.parameters:,} weights ({share:.1f} %)"
        return text + (f"; left out: {_shortened(self.left_out)}" if self.left_out else "")


def select(model: nn.Module, pattern: str, kinds: Iterable[LayerKind] = tuple(KINDS)) -> Selection:
    """The layers of a model that are attributed.

    Args:
        model: The model.
        pattern: A regular expression that is searched for in the layers' names; an empty one selects all.
        kinds: The kinds of layer that count.

    Returns:
        The selection, in the model's order.

    Raises:
        UserError: No layer matches, or a selected weight is shared by two modules.
    """
    allowed = tuple(KINDS[kind] for kind in kinds)
    layers = [
        Layer(name, group_of(name), _kind(module), module)
        for name, module in model.named_modules()
        if type(module) in allowed and re.search(pattern, name) and any(True for _ in module.parameters(recurse=False))
    ]
    if not layers:
        names = [name for name, module in model.named_modules() if type(module) in allowed]
        raise UserError(
            f"attribution: layers: {pattern!r} matches no layer that can be attributed; "
            f"there are {_shortened(names) or 'none'}"
        )
    _refuse_shared(layers)
    held = {id(parameter) for layer in layers for parameter in layer.module.parameters(recurse=False)}
    left_out = tuple(name for name, parameter in model.named_parameters() if id(parameter) not in held)
    return Selection(tuple(layers), sum(parameter.numel() for parameter in model.parameters()), left_out)


def group_of(name: str) -> str:
    """The group of a layer: the block whose number its name contains, or the last part of its name."""
    number = re.search(r"(?:^|\.)(\d+)(?:\.|$)", name)
    return f"block {number.group(1)}" if number else name.rsplit(".", 1)[-1]


def _kind(module: nn.Module) -> LayerKind:
    return next(kind for kind, type_of_kind in KINDS.items() if type(module) is type_of_kind)


def _refuse_shared(layers: list[Layer]) -> None:
    """Refuses a weight that two modules share: its gradient belongs to neither module alone."""
    owners: dict[int, str] = {}
    for layer in layers:
        for parameter in layer.module.parameters(recurse=False):
            other = owners.setdefault(id(parameter), layer.name)
            if other != layer.name:
                raise UserError(
                    f"attribution: layers: {other} and {layer.name} share a weight; "
                    f"leave both out, such as by `layers: '{_without(layers)}'`"
                )


def _without(layers: list[Layer]) -> str:
    """A pattern that matches the layers of the numbered blocks and no others."""
    inside = next((layer.name for layer in layers if layer.group.startswith("block ")), "")
    start = re.split(r"\.\d+\.", inside)[0]
    return rf"{start}\.\d+\." if inside else "."


def _shortened(names: Iterable[str], limit: int = 6) -> str:
    listed = list(names)
    rest = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + rest
