"""A tiny model in double precision, its pairs as examples, and gradients of single examples by a loop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.support import tiny_models as tiny
from trustdag.align import dpo, reward, sft
from trustdag.attribution.batches import Examples, PaddedBatch
from trustdag.attribution.gradients import FullView, Gradients, View
from trustdag.attribution.layers import Selection, select
from trustdag.attribution.objectives import Objective, objective_of, reply_logprobs
from trustdag.models.load import load_policy, load_tokenizer, new_reward
from trustdag.train.pairs import encode

COLUMNS = {"sft": ("chosen",), "reward": ("chosen", "rejected"), "dpo": ("chosen", "rejected")}
SETTINGS = {"sft": sft.Settings, "reward": reward.Settings, "dpo": dpo.Settings}


class World:
    """Some pairs and a model that a method trains on them."""

    def __init__(self, folder: Path, method: str, pairs: int = 6, **changes: Any) -> None:
        torch.manual_seed(0)
        data = tiny.write_data(folder / "data", pairs)
        policy = tiny.write_base(folder / "base", initializer_range=0.2)
        self.tokenizer = load_tokenizer(policy)
        self.settings = SETTINGS[method](max_length=64, **changes)
        encoded = encode(data / "train.parquet", COLUMNS[method], self.tokenizer, "hh", 64)
        examples = Examples.of_pairs(encoded, COLUMNS[method])
        self.start = load_policy(policy).double()
        if method == "dpo":
            reference = reference_logprobs(self.start, examples, self.pad)
            examples = Examples(examples.prompts, examples.replies, reference)
        self.examples = examples
        self.model = (
            new_reward(policy, self.tokenizer, 0).double() if method == "reward" else load_policy(policy).double()
        )
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        replies = encoded.replies["chosen"]
        self.objective: Objective = objective_of(self.settings, sum(map(len, replies)) / len(replies))

    @property
    def pad(self) -> int:
        """The padding token."""
        return int(self.tokenizer.pad_token_id)

    def selection(self, pattern: str = "") -> Selection:
        """The layers whose names match."""
        return select(self.model, pattern)

    def gradients(self, pattern: str = "", block: int = 4, view: View | None = None) -> Gradients:
        """The gradients under test."""
        selection = self.selection(pattern)
        return Gradients(
            self.model, selection, lambda: self.examples.blocks(block, self.pad), len(self.examples),
            self.objective.losses, self.objective.curvature, view or FullView(),
        )  # fmt: skip

    def by_loop(self, values: Callable[[Any, PaddedBatch], Tensor] | None = None) -> list[dict[str, Tensor]]:
        """Each example's gradient by autograd, one example at a time: by the name of the parameter."""
        values = values or self.objective.losses
        rows = []
        for number in range(len(self.examples)):
            self.model.zero_grad()
            values(self.model, self.examples.batch([number], self.pad)).sum().backward()
            rows.append(
                {
                    name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
                    for name, parameter in self.model.named_parameters()
                }
            )
        return rows


def reference_logprobs(model: Any, examples: Examples, pad: int) -> Tensor:
    """(examples, replies), one row at a time."""
    with torch.no_grad():
        rows = [reply_logprobs(model, examples.batch([number], pad), by_row=True) for number in range(len(examples))]
    return torch.stack(rows)


def flat(selection: Selection, named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameters' gradients as one vector a layer, in the order that the engine gives them."""
    vectors = {}
    for layer in selection.layers:
        weight, bias = named[f"{layer.name}.weight"], named.get(f"{layer.name}.bias")
        if layer.kind == "linear" and bias is not None:
            vectors[layer.name] = torch.cat([weight, bias[:, None]], dim=1).flatten()
        else:
            vectors[layer.name] = torch.cat([weight.flatten(), *([] if bias is None else [bias])])
    return vectors


def engine(gradients: Gradients) -> dict[str, Tensor]:
    """By layer, (examples, features), in the examples' order."""
    tables: dict[str, Tensor] = {}
    for block in gradients.blocks():
        for name, features in block.features():
            tables.setdefault(name, features.new_zeros(gradients.count, features.shape[1]))[block.examples] = features
    return tables
