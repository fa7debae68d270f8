"""Token selection and its margin. With a small margin, rounding may have decided the choice. Pure functions.

Sampling is Gumbel-max (Gumbel 1954; Maddison et al. 2014): it takes the token with the highest sum of log-probability
and noise. Small margins are rare with Gumbel-max. Inverting the distribution function has one for every unlikely token.
"""

import hashlib
from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple

import numpy as np
import torch

from trustdag.generation.decode import Choose, State, TokenChoice
from trustdag.generation.settings import GenerateSettings


class Choice(NamedTuple):
    """The next token of each row."""

    tokens: torch.Tensor
    """(rows,)"""
    margins: torch.Tensor
    """(rows,), the lead over the second choice, as a share of the largest logit."""


def most_likely(logits: torch.Tensor) -> Choice:
    """The most likely token of each row of `logits` (rows, vocabulary): greedy decoding."""
    tokens, lead = _highest(logits)
    return Choice(tokens, lead / _largest(logits))


def draw(logits: torch.Tensor, noise: torch.Tensor, temperature: float, vocabulary: int | None = None) -> Choice:
    """Draws a token for each row in two stages, each Gumbel-max: a block of tokens, then a token of that block.

    So a vocabulary of 50,000 needs only 448 random numbers.

    Args:
        logits: (rows, at most vocabulary).
        noise: (rows, `noise_size(vocabulary)`) Gumbel noise.
        temperature: Divides the logits; above 0.
        vocabulary: Size of the vocabulary that the noise was drawn for. None: the number of logits.
    """
    scaled = logits / temperature
    blocks, width = _blocks(vocabulary or logits.shape[-1])
    scaled = torch.nn.functional.pad(scaled, (0, blocks * width - logits.shape[-1]), value=float("-inf"))
    table = scaled.view(-1, blocks, width)
    block, lead = _highest(table.logsumexp(-1) + noise[:, :blocks])
    within = table[torch.arange(len(table), device=table.device), block]
    token, second_lead = _highest(within + noise[:, blocks:])
    # The noise is of order 1, also for small logits.
    size = (_largest(logits) / temperature).clamp(min=1)
    return Choice(block * width + token, torch.minimum(lead, second_lead) / size)


def nucleus(logits: torch.Tensor, top_p: float, temperature: float) -> torch.Tensor:
    """The logits, minus infinity outside the smallest set of tokens with probability `top_p`.

    Args:
        logits: (rows, vocabulary).
        top_p: The probability of the set, in (0, 1].
        temperature: Divides the logits; above 0.

    Returns:
        (rows, vocabulary).
    """
    ranked, order = torch.softmax(logits / temperature, -1).sort(dim=-1, descending=True, stable=True)
    before = ranked.cumsum(-1, dtype=torch.float64) - ranked
    outside = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return logits.masked_fill(outside, -torch.inf)


def noise(seed: int, item: str, sample: int, length: int, vocabulary: int) -> np.ndarray:
    """The Gumbel noise of one sampled reply.

    A counter-based generator (Philox) keyed by seed, item and sample: no other reply, batch or order changes it.

    Args:
        seed: The seed of the sampling.
        item: The item's name.
        sample: The number of the reply among the item's.
        length: Tokens of the longest reply.
        vocabulary: Tokens of the vocabulary.

    Returns:
        (length, `noise_size(vocabulary)`), float32.
    """
    key = hashlib.sha256(f"{seed}\0{item}\0{sample}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    return generator.gumbel(size=(length, noise_size(vocabulary))).astype(np.float32)


def noise_size(vocabulary: int) -> int:
    """Number of random numbers for one token."""
    return sum(_blocks(vocabulary))


def _blocks(vocabulary: int) -> tuple[int, int]:
    """The number of blocks and their width, both about the vocabulary's square root and at least 2."""
    width = isqrt(max(vocabulary, 2) - 1) + 1
    return max(2, -(-vocabulary // width)), width


def _highest(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The index of each row's highest score and its lead over the second highest: both (rows,)."""
    values, places = scores.topk(2)
    return places[:, 0], values[:, 0] - values[:, 1]


def _largest(logits: torch.Tensor) -> torch.Tensor:
    """Each row's largest logit in magnitude: (rows,)."""
    return torch.maximum(logits.amax(-1), -logits.amin(-1))


def chooser(settings: GenerateSettings, replies: Sequence[tuple[str, int]], logits: torch.Tensor, known: int) -> Choose:
    """The token choice of evaluation, with the settings' temperature and nucleus and the noise of each reply.

    Log-probabilities are those at temperature 1 and without a nucleus.

    Args:
        settings: The sampling settings.
        replies: Item and sample number of each row of the batch.
        logits: (rows, vocabulary), example logits, for their size and device.
        known: Number of tokens of the tokenizer. Further logits are padding and are never chosen.
    """
    temperature, top_p, length = settings.temperature, settings.top_p, settings.max_new_tokens
    vocabulary = logits.shape[-1]
    if temperature == 0:
        return lambda state, _rows, _step: _with_logprobs(most_likely(state.logits[:, :known]), state.logits)
    table = np.stack([noise(settings.seed, item, sample, length, vocabulary) for item, sample in replies])
    noises = torch.from_numpy(table).to(logits.device)

    def choose(state: State, rows: torch.Tensor, step: int) -> TokenChoice:
        candidates = state.logits[:, :known]
        if top_p < 1:
            candidates = nucleus(candidates, top_p, temperature)
        return _with_logprobs(draw(candidates, noises[rows, step], temperature, vocabulary), state.logits)

    return choose


def _with_logprobs(choice: Choice, logits: torch.Tensor) -> TokenChoice:
    """The choice with the log-probability of its tokens; its margins are the number to keep."""
    logprobs = logits.gather(1, choice.tokens[:, None])[:, 0] - logits.logsumexp(-1)
    return TokenChoice(choice.tokens, logprobs, choice.margins)
