"""DataInf's published side of benchmarks/attribution_speed.py: answers each line of standard input by one of JSON.

The procedure of github.com/ykwon0407/DataInf (`LORAEngineGeneration.compute_gradient`, then `IFEngineGeneration`):
gradients of the adapter of one text at a time, kept in dictionaries; then loops over queries, layers and texts. Here
both factors of an adapter are one layer, as on our side; there each is a layer of its own, which takes twice the loops.
"""

import sys
from collections import defaultdict
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM

import attribution_world as world
from trustdag.attribution.layers import select
from trustdag.attribution.views import LoraView

ByLayer = dict[str, Tensor]
DAMPING = 10
"""Published: a layer's damping is the mean squared entry of its gradients over this."""


class Side:
    """The start model with the adapter of the change that training made."""

    def __init__(self, folder: Path) -> None:
        start = AutoModelForCausalLM.from_pretrained(folder / "start", dtype=torch.float32)
        selection = select(world.load(folder), world.PATTERN)
        factors = LoraView.of_change(selection.layers, start, world.RANK).factors
        configuration = LoraConfig(r=world.RANK, lora_alpha=world.RANK, target_modules=list(factors))
        self.model = get_peft_model(start, configuration).eval()
        self.layers = {name: self.model.base_model.model.get_submodule(name) for name in factors}
        for name, layer in self.layers.items():
            for adapter, factor in zip((layer.lora_A, layer.lora_B), factors[name], strict=True):
                adapter["default"].weight.data.copy_(factor)
        _, queries = world.texts_of(folder)
        self.queries = self.gradients(queries)

    def score(self, texts: list[list[int]]) -> Tensor:
        """(texts, queries)."""
        gradients = self.gradients(texts)
        solved = self.solved(gradients)
        scores = torch.zeros(len(texts), len(self.queries))
        for text, by_layer in gradients.items():
            for query in self.queries:
                value = 0
                for layer in self.layers:
                    value += torch.sum(solved[query][layer] * by_layer[layer])
                scores[text, query] = value
        return scores / len(texts)

    def gradients(self, texts: list[list[int]]) -> dict[int, ByLayer]:
        """Of each text's mean cross-entropy, one text at a time."""
        gradients = {}
        for number, ids in enumerate(texts):
            self.model.zero_grad()
            batch = torch.tensor([ids])
            self.model(input_ids=batch, labels=batch).loss.backward()
            gradients[number] = {
                name: torch.cat(
                    [layer.lora_A["default"].weight.grad.flatten(), layer.lora_B["default"].weight.grad.flatten()]
                )
                for name, layer in self.layers.items()
            }
        return gradients

    def solved(self, gradients: dict[int, ByLayer]) -> dict[int, ByLayer]:
        """The published approximation of the inverse curvature times each query's gradient."""
        solved: dict[int, ByLayer] = defaultdict(dict)
        for query, by_layer in self.queries.items():
            for layer, vector in by_layer.items():
                squares = torch.zeros(len(gradients))
                for text in gradients:
                    squares[text] = torch.mean(gradients[text][layer] ** 2)
                damping = torch.mean(squares) / DAMPING
                total = torch.zeros(vector.shape)
                for text in gradients:
                    gradient = gradients[text][layer]
                    share = torch.sum(vector * gradient) / (damping + torch.sum(gradient**2))
                    total += (vector - share * gradient) / (len(gradients) * damping)
                solved[query][layer] = total
        return solved


def main() -> None:
    """Answers the lines of standard input."""
    side = Side(Path(sys.argv[1]))
    world.serve({"datainf": side.score}, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
