"""Chooses the next tokens, and says by how much: where it was close, rounding may have decided. Pure.

Sampling is Gumbel-max (Gumbel 1954; Maddison et al. 2014): the token whose log-probability plus noise of its own is
highest. Unlike the inverted distribution function, whose steps lie as close as tokens are unlikely, it is seldom close.
"""

import hashlib
from math import isqrt
from typing import NamedTuple

import numpy as np
import torch


class Choice(NamedTuple):
    """The next token of each row."""

    tokens: torch.Tensor
    """(rows,)"""
    margins: torch.Tensor
    """(rows,), the lead over what would have been chosen else, as a share of the largest logit."""


def most_likely(logits: torch.Tensor) -> Choice:
    """The most likely token of each row of `logits` (rows, vocabulary): greedy decoding."""
    tokens, lead = _highest(logits)
    return Choice(tokens, lead / _largest(logits))


def draw(logits: torch.Tensor, noise: torch.Tensor, temperature: float, vocabulary: int | None = None) -> Choice:
    """A token of each row of `logits` (rows, at most vocabulary), drawn with `noise` (rows, `noise_size(vocabulary)`).

    In two stages, each Gumbel-max: a block of tokens by its probability, then a token of that block. So a vocabulary of
    50,000 takes 448 random numbers.
    """
    scaled = logits / temperature
    blocks, width = _blocks(vocabulary or logits.shape[-1])
    scaled = torch.nn.functional.pad(scaled, (0, blocks * width - logits.shape[-1]), value=float("-inf"))
    table = scaled.view(-1, blocks, width)
    block, lead = _highest(table.logsumexp(-1) + noise[:, :blocks])
    within = table[torch.arange(len(table), device=table.device), block]
    token, second_lead = _highest(within + noise[:, blocks:])
    # The noise is of order 1, however small the logits are.
    size = (_largest(logits) / temperature).clamp(min=1)
    return Choice(block * width + token, torch.minimum(lead, second_lead) / size)


def nucleus(logits: torch.Tensor, top_p: float, temperature: float) -> torch.Tensor:
    """The logits (rows, vocabulary), minus infinity outside of the smallest set of tokens of probability `top_p`."""
    ranked, order = torch.softmax(logits / temperature, -1).sort(dim=-1, descending=True, stable=True)
    before = ranked.cumsum(-1, dtype=torch.float64) - ranked
    outside = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return logits.masked_fill(outside, -torch.inf)


def noise(seed: int, item: str, sample: int, length: int, vocabulary: int) -> np.ndarray:
    """The Gumbel noise that a sampled reply is drawn with, shape (length, `noise_size(vocabulary)`).

    A counter-based generator (Philox) keyed by seed, item and sample: no other reply, batch or order changes it.
    """
    key = hashlib.sha256(f"{seed}\0{item}\0{sample}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    return generator.gumbel(size=(length, noise_size(vocabulary))).astype(np.float32)


def noise_size(vocabulary: int) -> int:
    """Random numbers that one token takes."""
    return sum(_blocks(vocabulary))


def _blocks(vocabulary: int) -> tuple[int, int]:
    """How many blocks of how many tokens hold the vocabulary, at least two of each: about its square root."""
    width = isqrt(max(vocabulary, 2) - 1) + 1
    return max(2, -(-vocabulary // width)), width


def _highest(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each row's highest score lies, and by how much it leads the second: both (rows,)."""
    values, places = scores.topk(2)
    return places[:, 0], values[:, 0] - values[:, 1]


def _largest(logits: torch.Tensor) -> torch.Tensor:
    """Each row's largest logit in magnitude: (rows,)."""
    return torch.maximum(logits.amax(-1), -logits.amin(-1))
