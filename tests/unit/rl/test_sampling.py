"""Rollouts against naive sampling: one row, with a forward pass over the whole text for each token."""

import functools

import pytest
import torch
from transformers import DynamicCache

from tests.support import ppo_world as world
from trustdag.generation.decode import DecodingRules
from trustdag.rl.model import ActorCritic
from trustdag.rl.sampling import SHRINK_AT, draw_tokens, sample_replies

TEMPERATURE = 0.8


@pytest.fixture(scope="module")
def actor() -> ActorCritic:
    """A policy with a value head that says something."""
    head = torch.nn.Linear(16, 1, bias=False)
    return ActorCritic(world.policy(), None, head, TEMPERATURE).eval()


def naive(
    actor: ActorCritic, prompt: list[int], uniforms: torch.Tensor, limit: int
) -> tuple[list[int], list[float], list[float]]:
    """Tokens, log-probabilities and values of one reply, without batch, cache or padding."""
    tokens = list(prompt)
    logprobs: list[float] = []
    values: list[float] = []
    with torch.no_grad():
        for step in range(limit):
            output = actor.policy(input_ids=torch.tensor([tokens]), output_hidden_states=True)
            log_softmax = (output.logits[0, -1].double() / TEMPERATURE).log_softmax(-1)
            total, token = 0.0, 0
            for candidate in range(len(log_softmax)):  # the first token whose cumulative probability passes u
                total += log_softmax[candidate].exp().item()
                if total > uniforms[step]:
                    token = candidate
                    break
            tokens.append(token)
            logprobs.append(log_softmax[token].item())
            values.append(actor.value_head(output.hidden_states[-1][0, -1]).item())
            if token == world.END:
                break
    return tokens[len(prompt) :], logprobs, values


PROMPTS = [[5, 6, 7, 8, 9], [3], [4, 9, 2], [11] * 8, [3, 3], [20, 21, 22], [30], [8, 2, 8, 2, 8, 2]]


@pytest.mark.parametrize("size", [None, 3, 1])
def test_replies_equal_the_naive_ones_on_ragged_prompts_and_early_ends(actor: ActorCritic, size: int | None) -> None:
    # given
    limit = 12
    uniforms = torch.rand(len(PROMPTS), limit, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    # when
    step = functools.partial(actor, "step")
    rules = DecodingRules(limit, (world.END,), world.PAD, SHRINK_AT)
    replies = sample_replies(step, actor.policy.config, PROMPTS, uniforms, rules, size)
    # then
    lengths = replies.lengths.tolist()
    assert min(lengths) < limit, "the case has no early end"
    assert replies.tokens.shape[1] == max(lengths)
    for row, prompt in enumerate(PROMPTS):
        tokens, logprobs, values = naive(actor, prompt, uniforms[row], limit)
        length = lengths[row]
        assert replies.tokens[row, :length].tolist() == tokens
        assert bool(replies.ended[row]) == (tokens[-1] == world.END)
        torch.testing.assert_close(replies.logprobs[row, :length], torch.tensor(logprobs), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(replies.values[row, :length], torch.tensor(values), atol=1e-5, rtol=1e-5)
        assert replies.tokens[row, length:].eq(world.PAD).all()
        assert replies.logprobs[row, length:].eq(0).all()


def test_generation_stops_when_every_row_has_ended() -> None:
    # given a policy that always ends at once
    steps: list[torch.Size] = []

    def step(
        tokens: torch.Tensor, _mask: torch.Tensor | None, _positions: torch.Tensor, _cache: DynamicCache
    ) -> tuple[torch.Tensor, torch.Tensor]:
        steps.append(tokens.shape)
        logits = torch.full((len(tokens), world.VOCABULARY), -1e9)
        logits[:, world.END] = 0.0
        return logits, torch.zeros(len(tokens))

    # when
    uniforms = torch.rand(3, 50, dtype=torch.float64)
    rules = DecodingRules(50, (world.END,), world.PAD, SHRINK_AT)
    replies = sample_replies(step, world.config(), [[2], [3], [4]], uniforms, rules)
    # then
    assert len(steps) == 1
    assert replies.lengths.tolist() == [1, 1, 1]
    assert replies.ended.all()


def test_ended_rows_leave_the_batch() -> None:
    # given a policy under which row i ends after i + 1 tokens
    sizes: list[int] = []

    def step(
        tokens: torch.Tensor, _mask: torch.Tensor | None, _positions: torch.Tensor, cache: DynamicCache
    ) -> tuple[torch.Tensor, torch.Tensor]:
        sizes.append(len(tokens))
        logits = torch.full((len(tokens), world.VOCABULARY), -1e9)
        for row, token in enumerate(tokens[:, -1].tolist()):
            logits[row, token - 1 if token > 2 else world.END] = 0.0
        for layer in cache.layers:
            layer.update(
                torch.zeros(*tokens.shape, 1, 1).transpose(1, 2), torch.zeros(*tokens.shape, 1, 1).transpose(1, 2)
            )
        return logits, torch.zeros(len(tokens))

    # when
    prompts = [[3 + row] for row in range(8)]
    uniforms = torch.rand(8, 20, dtype=torch.float64)
    rules = DecodingRules(20, (world.END,), world.PAD, SHRINK_AT)
    replies = sample_replies(step, world.config(), prompts, uniforms, rules)
    # then
    assert replies.lengths.tolist() == [2 + row for row in range(8)]
    assert sizes[0] == 8
    assert sizes[-1] < 4


class TestDrawTokens:
    def test_draws_have_the_probabilities(self) -> None:
        # given
        logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]])
        uniforms = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
        # when
        tokens, logprobs = draw_tokens(logits.expand(10_000, 4), uniforms)
        # then
        shares = torch.bincount(tokens, minlength=4) / 10_000
        torch.testing.assert_close(shares, logits[0].softmax(-1), atol=2e-4, rtol=0)
        torch.testing.assert_close(logprobs, logits[0].log_softmax(-1)[tokens])

    def test_a_token_of_probability_0_is_never_drawn(self) -> None:
        logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]])
        for uniform in (0.0, 0.5, 1 - 2**-53):
            tokens, _ = draw_tokens(logits, torch.tensor([uniform], dtype=torch.float64))
            assert int(tokens) in (1, 3)
