"""How tokens are chosen: the model's own probabilities, noise that belongs to one reply, margins that hold."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from trustdag.generation.sampling import draw, most_likely, noise, noise_size, nucleus

DRAWS = 20_000


def drawn(logits: torch.Tensor, temperature: float = 1.0, seed: int = 0) -> torch.Tensor:
    """Tokens drawn from one distribution, each as a reply's next token: (DRAWS,)."""
    noises = torch.from_numpy(noise(seed, "item", 0, DRAWS, len(logits)))
    return draw(logits.expand(DRAWS, -1), noises, temperature).tokens


@pytest.mark.parametrize("vocabulary", [2, 3, 4, 5, 10, 17, 100, 1000])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_by_the_models_probabilities(vocabulary: int, temperature: float) -> None:
    logits = 2 * torch.randn(vocabulary, generator=torch.Generator().manual_seed(vocabulary), dtype=torch.float64)
    expected = DRAWS * torch.softmax(logits / temperature, -1)
    counts = torch.bincount(drawn(logits, temperature), minlength=vocabulary)
    # Tokens that are too rare for the test's approximation count as one.
    often = expected >= 5
    groups = [torch.cat([counts_of[often], counts_of[~often].sum()[None]]) for counts_of in (counts.double(), expected)]
    if groups[1][-1] == 0:
        groups = [group[:-1] for group in groups]
    assert chisquare(*(group.numpy() for group in groups)).pvalue > 1e-3


def test_tokens_of_two_steps_are_independent() -> None:
    noises = torch.from_numpy(np.stack([noise(0, "item", sample, 2, 3) for sample in range(4000)]))
    first, second = (draw(torch.zeros(4000, 3), noises[:, step], 1.0).tokens for step in range(2))
    counts = torch.bincount(3 * first + second, minlength=9)
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_an_impossible_token_is_never_drawn() -> None:
    logits = torch.full((50,), -torch.inf)
    logits[[7, 31]] = torch.tensor([0.0, -3.0])
    assert set(drawn(logits).tolist()) == {7, 31}


def test_the_nucleus_is_the_smallest_set_of_that_probability() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3]]))
    for top_p, kept in ((0.4, {1}), (0.5, {1}), (0.6, {1, 2}), (0.81, {0, 1, 2})):
        assert set(torch.isfinite(nucleus(logits, top_p, 1.0))[0].nonzero().flatten().tolist()) == kept
    # At temperature 0.5 the shares are 0.105, 0.658 and 0.237.
    assert torch.isfinite(nucleus(logits, 0.6, 0.5)).tolist() == [[False, True, False]]
    two_tokens = nucleus(logits, 0.6, 1.0)[0]
    assert set(drawn(two_tokens).tolist()) == {1, 2}
    assert (drawn(two_tokens) == 1).float().mean().item() == pytest.approx(0.5 / 0.8, abs=4 * 0.5 / DRAWS**0.5)


def test_noise_is_its_replys_own() -> None:
    assert noise(0, "a", 0, 5, 100).tolist() == noise(0, "a", 0, 9, 100)[:5].tolist()
    keys = [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]
    assert len({noise(*key, 4, 100).tobytes() for key in keys}) == 4


def test_noise_grows_with_the_root_of_the_vocabulary() -> None:
    assert [noise_size(vocabulary) for vocabulary in (2, 4, 1024, 50_000, 128_256)] == [4, 4, 64, 448, 717]


def test_the_lead_of_the_most_likely_token_is_a_share_of_the_largest_logit() -> None:
    tokens, margins = most_likely(torch.tensor([[1.0, 4.0, 3.0], [-8.0, 2.0, 2.0]]))
    assert tokens[0].item() == 1
    assert margins.tolist() == [0.25, 0.0]


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_an_error_below_half_the_margin_changes_no_draw(temperature: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(2000, 300, generator=generator, dtype=torch.float64)
    noises = torch.from_numpy(np.stack([noise(0, "item", row, 1, 300)[0] for row in range(2000)])).double()
    tokens, margins = draw(logits, noises, temperature)
    assert (margins > 0).all()
    # Given an error of random signs and the largest size that the margin allows
    largest = logits.abs().amax(-1).clamp(min=temperature)
    size = 0.49 * (margins * largest)[:, None]
    signs = torch.randint(2, logits.shape, generator=generator) * 2 - 1
    # Then the same tokens are drawn; with one three times as large, some others.
    assert draw(logits + size * signs, noises, temperature).tokens.tolist() == tokens.tolist()
    worst = torch.full_like(logits, -1).scatter(1, tokens[:, None], 1)
    assert draw(logits - 3 * size * worst, noises, temperature).tokens.tolist() != tokens.tolist()


def test_close_draws_are_rare_however_large_and_even_the_vocabulary() -> None:
    vocabulary = 30_000
    noises = torch.from_numpy(noise(0, "item", 0, 500, vocabulary))
    margins = draw(0.1 * torch.randn(500, vocabulary, generator=torch.Generator().manual_seed(0)), noises, 1.0).margins
    assert (margins < 1e-3).float().mean() < 0.01
