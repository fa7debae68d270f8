"""Gradients of single examples from one batched backward pass are those of autograd, one example at a time."""

import weakref
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.attribution_world import World, engine, flat
from trustdag.attribution.batches import PaddedBatch
from trustdag.attribution.capture import LayerTrace
from trustdag.attribution.gradients import Block, TracedBlock, Vectors, add_weighted
from trustdag.attribution.layers import select
from trustdag.attribution.resume import PassSums, Sums
from trustdag.attribution.views import LoraView, ProjectedView, leading_factors
from trustdag.errors import UserError

CASES: list[tuple[str, dict[str, Any]]] = [
    ("sft", {}),
    ("reward", {}),
    ("reward", {"center": 0.1}),
    ("dpo", {"beta": 0.3}),
    ("dpo", {"loss": "ipo"}),
    ("dpo", {"loss": "hinge"}),
    ("dpo", {"loss": "robust", "label_smoothing": 0.1}),
]


@pytest.mark.parametrize(("method", "changes"), CASES)
def test_each_examples_gradient_is_that_of_autograd(tmp_path: Path, method: str, changes: dict[str, Any]) -> None:
    # Given a model in double precision and pairs of several lengths in blocks with padding
    world = World(tmp_path, method, **changes)
    # When all gradients are taken in blocks
    gradients = world.gradients()
    tables = engine(gradients)
    # Then each is that of a backward pass of its own, in every layer
    for number, named in enumerate(world.by_loop()):
        for name, vector in flat(gradients.selection, named).items():
            torch.testing.assert_close(tables[name][number], vector, rtol=1e-9, atol=1e-12)


def test_every_weight_of_a_gpt_neox_is_selected(tmp_path: Path) -> None:
    selection = World(tmp_path, "sft").selection()

    assert selection.selected == selection.parameters
    assert selection.left_out == ()
    assert {layer.group for layer in selection.layers} >= {"embed_in", "lm_head", "block 0", "block 1"}


def test_a_pattern_selects_layers_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    world = World(tmp_path, "dpo")

    selection = world.selection("attention")

    assert {layer.group for layer in selection.layers} == {"block 0", "block 1"}
    assert "gpt_neox.embed_in.weight" in selection.left_out
    assert "6 layers" in str(selection)
    assert set(engine(world.gradients("attention"))) == {layer.name for layer in selection.layers}


def test_a_pattern_that_matches_nothing_is_refused_with_the_names_that_there_are(tmp_path: Path) -> None:
    world = World(tmp_path, "sft")

    with pytest.raises(UserError, match=r"'nowhere' matches no layer.*embed_in"):
        world.selection("nowhere")


def test_a_weight_that_two_modules_share_is_refused_with_a_pattern_that_leaves_it_out() -> None:
    model = torch.nn.Module()
    model.first, model.second = torch.nn.Embedding(4, 3), torch.nn.Linear(3, 4, bias=False)
    model.second.weight = model.first.weight

    with pytest.raises(UserError, match="first and second share a weight"):
        select(model, "")


def test_weights_keep_whether_they_train_and_get_no_gradient(tmp_path: Path) -> None:
    world = World(tmp_path, "dpo")

    engine(world.gradients())

    assert all(parameter.requires_grad and parameter.grad is None for parameter in world.model.parameters())


def test_a_weighted_sum_is_the_sum_of_weighted_gradients(tmp_path: Path) -> None:
    world = World(tmp_path, "reward")
    gradients = world.gradients()
    weights = {name: torch.randn(3, len(world.examples), dtype=torch.float64) for name in gradients.sizes}

    sums: Vectors = {}
    for block in gradients.blocks():
        add_weighted(sums, block, weights)

    for name, table in engine(gradients).items():
        torch.testing.assert_close(sums[name], weights[name] @ table)


def test_adapter_gradients_are_those_of_the_factors_of_a_low_rank_change(tmp_path: Path) -> None:
    # Given a trained model and what it started from
    world = World(tmp_path, "dpo")
    layers = world.selection("dense").layers
    view = LoraView.of_change(layers, world.start, rank=3)
    # When features of its adapters are taken
    tables = engine(world.gradients("dense", view=view))
    # Then they are the derivatives with respect to A and B of a loss whose weights are W + B A
    for number, named in enumerate(world.by_loop()):
        for layer in layers:
            gradient, (first, second) = named[f"{layer.name}.weight"], view.factors[layer.name]
            expected = torch.cat([(second.T @ gradient).flatten(), (gradient @ first.T).flatten()])
            torch.testing.assert_close(tables[layer.name][number], expected, rtol=1e-9, atol=1e-12)


def test_the_adapters_of_a_change_of_low_rank_hold_all_of_it(tmp_path: Path) -> None:
    world = World(tmp_path, "sft")
    (layer,) = world.selection(r"0\.mlp\.dense_h_to_4h").layers
    before = dict(world.start.named_modules())[layer.name].weight.detach()
    change = torch.randn(len(before), 2, dtype=torch.float64) @ torch.randn(2, before.shape[1], dtype=torch.float64)
    with torch.no_grad():
        layer.module.weight.copy_(before + change)  # type: ignore[operator]

    first, second = LoraView.of_change((layer,), world.start, rank=2).factors[layer.name]

    torch.testing.assert_close(second @ first, change)


def test_the_traces_of_a_block_are_gone_before_those_of_the_next_are_computed(tmp_path: Path) -> None:
    # Given gradients in two blocks, whose losses note whether earlier traces are still there
    world, traced, alive = World(tmp_path, "dpo"), list[weakref.ref[LayerTrace]](), list[int]()
    gradients = world.gradients("dense", block=3)

    def losses(model: Any, batch: PaddedBatch) -> torch.Tensor:
        alive.append(sum(trace() is not None for trace in traced))
        return world.objective.losses(model, batch)

    def add(_sums: Sums, block: Block) -> None:
        assert isinstance(block, TracedBlock)
        traced.extend(weakref.ref(trace) for trace in block.traces)

    # When a pass goes over them
    PassSums().total("pass", replace(gradients, losses=losses).blocks, add)
    # Then none is
    assert alive == [0, 0]
    assert traced


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (5, 5)])
def test_the_factors_of_a_change_are_its_first_singular_vectors(shape: tuple[int, int]) -> None:
    # Given a change whose last singular values are small, or 0
    left, right = (torch.linalg.qr(torch.randn(size, 5, dtype=torch.float64))[0] for size in shape)
    values = torch.tensor([3.0, 1.0, 1e-4, 0.0, 0.0], dtype=torch.float64)
    # When four of its factors are taken
    first, second = leading_factors(left * values @ right.T, 4)
    # Then they are the singular vectors, each times the root of its value, up to their sign
    torch.testing.assert_close(first.norm(dim=1) ** 2, values[:4], rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(second.norm(dim=0) ** 2, values[:4], rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(second @ first, left * values @ right.T, rtol=0, atol=1e-10)


def test_projections_are_linear_and_keep_inner_products_on_average(tmp_path: Path) -> None:
    # Given projections of all linear layers by many seeds
    world = World(tmp_path, "dpo", pairs=3)
    layers = world.selection("query_key_value").layers
    whole = engine(world.gradients("query_key_value"))
    name = layers[0].name
    expected = whole[name] @ whole[name].T
    # When inner products of the projected gradients are averaged over the seeds
    products = []
    for seed in range(150):
        table = engine(world.gradients("query_key_value", view=ProjectedView.of_layers(layers, 8, seed)))[name]
        products.append(table @ table.T)
    mean = torch.stack(products).mean(0)
    error = torch.stack(products).std(0) / len(products) ** 0.5
    # Then they are those of the whole gradients, within their error
    assert ((mean - expected).abs() < 5 * error).all()


@pytest.mark.parametrize("make", [lambda world, layers: LoraView.of_change(layers, world.start, 33),
                                  lambda world, layers: ProjectedView.of_layers(layers, 34, 0)])  # fmt: skip
def test_a_rank_beyond_a_layers_size_is_refused(tmp_path: Path, make: Any) -> None:
    world = World(tmp_path, "sft")

    with pytest.raises(UserError, match=r"is more than the 3\d that .*query_key_value has; lower it"):
        make(world, world.selection("query_key_value").layers)


def test_layers_that_a_stage_left_as_they_were_have_no_adapter(tmp_path: Path) -> None:
    # Given a stage that changed all layers but one
    world = World(tmp_path, "dpo")
    selection = world.selection("dense")
    same = selection.layers[1]
    same.module.load_state_dict(world.start.get_submodule(same.name).state_dict())
    # When the changed layers are selected
    changed = selection.changed_since(world.start)
    # Then that one is left out, and said to be
    assert [layer.name for layer in changed.layers] == [layer.name for layer in selection.layers if layer is not same]
    assert {f"{same.name}.weight", f"{same.name}.bias"} <= set(changed.left_out)


def test_a_stage_that_changed_no_selected_layer_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, "dpo")

    with pytest.raises(UserError, match="the stage changed none of the selected layers"):
        select(world.start, "dense").changed_since(world.start)


def test_a_reward_models_score_has_an_adapter_of_its_one_output(tmp_path: Path) -> None:
    world = World(tmp_path, "reward")
    layers = world.selection("score").layers
    start = deepcopy(world.model)
    start.score.weight.data.zero_()

    view = LoraView.of_change(layers, start, rank=3)

    first, second = view.factors["score"]
    torch.testing.assert_close(second @ first, world.model.score.weight.detach())
    assert len(first) == 1
    assert engine(world.gradients("score", view=view))["score"].shape == (6, view.size(layers[0]))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["sft", "dpo"])
def test_products_are_those_of_the_formed_gradients(tmp_path: Path, name: str, count: int) -> None:
    # Given vectors, and layers of each kind, with and without bias
    world = World(tmp_path, name)
    gradients = world.gradients("0|embed_in|norm")
    vectors = {layer: torch.randn(count, size, dtype=torch.float64) for layer, size in gradients.sizes.items()}
    tables = engine(gradients)
    # When their products with blocks of gradients are taken, then they are the products with the gradients
    for block in gradients.blocks():
        for layer, products in block.products(vectors):
            torch.testing.assert_close(products, tables[layer][block.examples] @ vectors[layer].T)


def test_kept_gradients_are_computed_once(tmp_path: Path) -> None:
    # Given gradients that are kept, and the number of backward passes
    world = World(tmp_path, "dpo")
    passes: list[int] = []

    def losses(model: Any, batch: PaddedBatch) -> Tensor:
        passes.append(batch.count)
        return world.objective.losses(model, batch)

    expected = engine(world.gradients("dense"))
    gradients = replace(world.gradients("dense", block=2), losses=losses, keep=True)
    # When all are taken after a pass that was left in the middle, and again
    for _ in gradients.blocks():
        break
    first, again = engine(gradients), engine(gradients)
    # Then they are right both times, and only the first whole pass computed them
    for name, table in expected.items():
        torch.testing.assert_close(first[name], table)
        assert torch.equal(first[name], again[name])
    assert passes == [2, 2, 2, 2]
    # And a pass that begins later has the later blocks
    assert [block.examples.tolist() for block in gradients.blocks(2)] == [
        block.examples.tolist() for block in list(gradients.blocks())[2:]
    ]
