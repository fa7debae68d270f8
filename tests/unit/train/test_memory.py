"""How many examples a forward pass takes where the study does not say."""

import pytest
from transformers import GPTNeoXConfig, LlamaConfig

from trustdag.train.memory import KEPT, SHARE, STATE, ActivationBudget

SMOLLM2 = LlamaConfig(
    hidden_size=576,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    intermediate_size=1536,
    vocab_size=49_152,
)
TOY = GPTNeoXConfig(hidden_size=128, num_hidden_layers=2, num_attention_heads=4, vocab_size=900)


def test_activations_stay_below_their_share_of_the_state() -> None:
    budget = ActivationBudget.of(SMOLLM2)
    parameters = 12 * 576**2 * 30 + 49_152 * 576
    assert budget.tokens * KEPT * 576 * 30 <= SHARE * STATE * parameters


def test_a_small_model_takes_the_whole_batch() -> None:
    assert ActivationBudget.of(TOY).examples(128, 64) == 64


def test_two_trunks_that_train_have_the_budget_of_two() -> None:
    one, two = ActivationBudget.of(SMOLLM2), ActivationBudget.of(SMOLLM2, trunks=2)
    assert one.tokens == pytest.approx(two.tokens, abs=1)


@pytest.mark.parametrize(
    ("tokens", "share", "expected"),
    [(100, 16, 8), (100, 12, 6), (100, 7, 7), (100, 11, 1), (1000, 16, 1), (50, 16, 16)],
)
def test_the_examples_divide_the_share_of_the_process(tokens: int, share: int, expected: int) -> None:
    assert ActivationBudget(tokens=850).examples(tokens, share) == expected


def test_an_example_that_is_too_long_by_itself_is_recomputed() -> None:
    budget = ActivationBudget(tokens=850)
    assert budget.holds(850)
    assert not budget.holds(851)
