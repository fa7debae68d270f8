"""Log-probabilities in chunks, against the logits of the model's own forward pass."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from trustdag.models.logprobs import (
    OutputLayer,
    log_probability,
    read_logits,
    rows_at_once,
    vocabulary_of,
)

VOCABULARY = 61
SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 64, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip
GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gpt_neox": {},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 16},
    "llama": GROUPED | {"tie_word_embeddings": True},
    "mistral": GROUPED,
    "qwen2": GROUPED,
    "qwen3": GROUPED,
    "phi": {},
    "falcon": {},
    "bloom": {"n_layer": 2, "n_head": 4},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4},
    "mamba": {"state_size": 4},
    "gemma": GROUPED,
    "gemma2": GROUPED | {"final_logit_softcapping": 0.5},
    "gemma3_text": GROUPED | {"final_logit_softcapping": 0.5},
    "cohere": GROUPED | {"logit_scale": 0.25},
    "granite": GROUPED | {"logits_scaling": 8.0},
}
"""Model types that transformers knows, and what their configurations need besides the sizes."""
CHANGING = ("gemma2", "gemma3_text", "cohere", "granite")
"""Architectures that change their logits after the output layer."""


def model_of(kind: str, **changes: Any) -> PreTrainedModel:
    """A small model of an architecture, with random weights."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(SIZES | ARCHITECTURES[kind] | changes))
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return model.eval()


def tokens() -> Tensor:
    """(3, 12) ids."""
    return torch.randint(2, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(1))


def in_chunks(model: PreTrainedModel, rows: int) -> Tensor:
    """The log-probability of each token but the first of each row, `rows` rows of logits at a time."""
    ids = tokens()
    states = model.base_model(input_ids=ids).last_hidden_state[:, :-1].flatten(0, 1)
    logits_of = partial(OutputLayer.of(model.config).logits, model)
    vocabulary = vocabulary_of(model)
    return read_logits(
        logits_of, vocabulary, states, ids[:, 1:].flatten(), log_probability, chunk_bytes=4 * vocabulary * rows
    )[0]


def plain(model: PreTrainedModel) -> Tensor:
    """The same from the model's own logits, all at once."""
    ids = tokens()
    logits = model(input_ids=ids).logits[:, :-1].log_softmax(-1)
    return logits.gather(-1, ids[:, 1:, None]).flatten()


def gradients(model: PreTrainedModel, values: Callable[[PreTrainedModel], Tensor]) -> dict[str, Tensor]:
    """The gradient of a weighted sum of the values, by parameter."""
    model.zero_grad()
    log_probs = values(model)
    (log_probs * torch.linspace(-1, 2, len(log_probs))).sum().backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_values_and_gradients_are_those_of_the_models_own_logits(kind: str) -> None:
    model = model_of(kind)
    assert OutputLayer.of(model.config).fits(model)
    torch.testing.assert_close(in_chunks(model, rows=7), plain(model), atol=1e-6, rtol=1e-6)
    ours, theirs = gradients(model, partial(in_chunks, rows=7)), gradients(model, plain)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=2e-6, rtol=1e-4, msg=partial("{}: {}".format, name))


@pytest.mark.parametrize("kind", CHANGING)
def test_an_architecture_that_changes_its_logits_is_not_taken_for_one_that_does_not(kind: str) -> None:
    model = model_of(kind)
    assert OutputLayer.of(model.config) != OutputLayer()
    assert not OutputLayer().fits(model)


def test_a_change_that_no_name_of_the_configuration_tells_does_not_fit() -> None:
    model = model_of("llama")
    forward = model.forward

    def capped(**inputs: Any) -> Any:
        output = forward(**inputs)
        output.logits = 30 * torch.tanh(output.logits / 30)
        return output

    model.forward = capped
    assert not OutputLayer.of(model.config).fits(model)


def test_a_factor_that_the_architecture_ignores_does_not_fit() -> None:
    model = model_of("llama", logit_scale=0.5)
    assert not OutputLayer.of(model.config).fits(model)


@pytest.mark.parametrize("rows", [1, 2, 5, 32, 33, 1000])
def test_the_size_of_a_chunk_changes_no_result(rows: int) -> None:
    model = model_of("llama")
    torch.testing.assert_close(in_chunks(model, rows), in_chunks(model, 33), atol=1e-6, rtol=0)
    ours, whole = gradients(model, partial(in_chunks, rows=rows)), gradients(model, partial(in_chunks, rows=33))
    for name, gradient in whole.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("learning", [True, False], ids=["with gradients", "without"])
def test_no_more_than_a_chunk_of_logits_is_ever_computed(learning: bool) -> None:
    model, sizes = model_of("llama"), []
    model.get_output_embeddings().register_forward_hook(lambda _layer, _inputs, logits: sizes.append(len(logits)))
    with torch.set_grad_enabled(learning):
        log_probs = in_chunks(model, rows=10)
    if learning:
        log_probs.sum().backward()
    assert max(sizes) <= 10
    assert sum(sizes) == (2 if learning else 1) * log_probs.numel()


def test_what_fits_in_one_chunk_is_computed_once() -> None:
    model, sizes = model_of("llama"), []
    model.get_output_embeddings().register_forward_hook(lambda _layer, _inputs, logits: sizes.append(len(logits)))
    in_chunks(model, rows=33).sum().backward()
    assert sizes == [33]


def test_a_chunk_holds_at_least_one_row() -> None:
    assert rows_at_once(49_152, 64 << 20) == 341
    assert rows_at_once(10**9, 1) == 1


def test_nothing_to_read_gives_nothing() -> None:
    model = model_of("llama")
    logits_of = partial(OutputLayer().logits, model)
    (values,) = read_logits(
        logits_of, VOCABULARY, torch.zeros(0, 32), torch.zeros(0, dtype=torch.long), log_probability
    )
    assert values.shape == (0,)


def test_a_training_model_is_left_in_training() -> None:
    model = model_of("llama").train()
    OutputLayer.of(model.config).fits(model)
    assert model.training
    assert model.get_output_embeddings().training
