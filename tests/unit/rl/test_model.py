"""What policy, reference and value model say, against one unpadded row at a time."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPTNeoXForCausalLM

from tests.support import ppo_world as world
from trustdag.errors import UserError
from trustdag.rl import model as parts
from trustdag.rl.adapters import disable_dropout
from trustdag.rl.batch import rows_of, scatter, splits
from trustdag.rl.rewards import pad_right, score_with_function, score_with_model
from trustdag.train.lora import add_adapter
from trustdag.train.settings import Lora

TEMPERATURE = 0.8
PROMPTS = [[5, 6, 7, 8, 9], [3], [4, 9, 2], [11] * 8]
REPLIES = [[4, 5, 0], [7, 7, 7, 7, 7], [0], [2, 0]]


def sequences() -> parts.Sequences:
    """The prompts and replies above, as a batch."""
    tokens, _ = pad_right([a + b for a, b in zip(PROMPTS, REPLIES, strict=True)], world.PAD, torch.device("cpu"))
    lengths = torch.tensor([len(reply) for reply in REPLIES])
    prompt_lengths = torch.tensor([len(prompt) for prompt in PROMPTS])
    return parts.Sequences(tokens, prompt_lengths, torch.arange(5) < lengths[:, None])


def rows_one_by_one(
    policy: GPTNeoXForCausalLM, value_of: Callable[[list[int], Any, int], float]
) -> Iterator[tuple[float, float, float]]:
    """(log-probability, entropy, value) of each reply token, from the policy's own logits."""
    for prompt, reply in zip(PROMPTS, REPLIES, strict=True):
        output = policy(input_ids=torch.tensor([prompt + reply]), output_hidden_states=True)
        for t, token in enumerate(reply):
            column = len(prompt) + t - 1
            logp = (output.logits[0, column] / TEMPERATURE).log_softmax(-1)
            yield logp[token].item(), -(logp.exp() * logp).sum().item(), value_of(prompt + reply, output, column)


@pytest.mark.parametrize("kind", ["head", "policy_copy", "reward_copy"])
def test_evaluation_equals_the_naive_one(kind: parts.ValueKind) -> None:
    # given
    policy, reward = world.policy(), world.reward_model()
    critic, head = parts.build_value(kind, policy, reward)
    if kind != "reward_copy":
        torch.nn.init.normal_(next(head.parameters()))
    actor = parts.ActorCritic(policy, critic, head, TEMPERATURE)

    def value_of(ids: list[int], output: Any, column: int) -> float:
        if critic is None:
            return head(output.hidden_states[-1][0, column]).item()
        return head(critic(input_ids=torch.tensor([ids])).last_hidden_state[0, column]).item()

    # when
    with torch.no_grad():
        evaluation = actor("evaluate", sequences())
        expected = list(rows_one_by_one(policy, value_of))
    # then
    for column, name in enumerate(("logprobs", "entropy", "values")):
        numbers = torch.tensor([row[column] for row in expected])
        torch.testing.assert_close(getattr(evaluation, name), numbers, atol=1e-5, rtol=1e-5)


def test_the_logits_of_prompts_and_padding_are_never_computed() -> None:
    actor = parts.ActorCritic(world.policy(), *parts.build_value("head", world.policy(), None), 1.0)
    seen: list[torch.Size] = []
    actor.policy.get_output_embeddings().register_forward_hook(lambda module, args, output: seen.append(output.shape))
    actor("evaluate", sequences())
    assert seen == [(sum(map(len, REPLIES)), world.VOCABULARY)]


def test_a_new_value_head_says_0() -> None:
    kinds: tuple[parts.ValueKind, ...] = ("head", "policy_copy")
    for kind in kinds:
        actor = parts.ActorCritic(world.policy(), *parts.build_value(kind, world.policy(), None), 1.0)
        assert actor("evaluate", sequences()).values.abs().max() == 0


def test_a_value_model_cannot_copy_a_function() -> None:
    with pytest.raises(UserError, match="reward_copy"):
        parts.build_value("reward_copy", world.policy(), None)


class TestReference:
    def test_it_is_frozen_and_stays_when_the_policy_moves(self) -> None:
        policy = world.policy()
        reference = parts.copy_reference(policy)
        before = parts.reference_logprobs(reference, sequences(), TEMPERATURE)
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter.add_(1.0)
        torch.testing.assert_close(parts.reference_logprobs(reference, sequences(), TEMPERATURE), before)
        assert not any(parameter.requires_grad for parameter in reference.parameters())

    def test_it_shares_what_does_not_train(self) -> None:
        policy = world.policy()
        parts.train_top_layers(policy, 1)
        reference = parts.copy_reference(policy)
        ours, theirs = dict(policy.named_parameters()), dict(reference.named_parameters())
        for name, parameter in ours.items():
            assert (theirs[name] is parameter) == (not parameter.requires_grad)

    def test_with_the_adapter_off_the_policy_is_its_own_reference(self) -> None:
        # given
        policy = world.policy()
        before = parts.reference_logprobs(policy, sequences(), TEMPERATURE)
        policy = add_adapter(policy, Lora(rank=2))
        with torch.no_grad():
            for name, parameter in policy.named_parameters():
                if "lora" in name:
                    parameter.normal_()
        # when
        on = parts.reference_logprobs(policy, sequences(), TEMPERATURE)
        with parts.adapter_off(policy) as reference:
            off = parts.reference_logprobs(reference, sequences(), TEMPERATURE)
        # then
        torch.testing.assert_close(off, before)
        assert (on - before).abs().max() > 0.1


class TestTopLayers:
    def test_only_the_last_layers_and_what_follows_train(self) -> None:
        policy = world.policy()
        parts.train_top_layers(policy, 1)
        trained = {name for name, parameter in policy.named_parameters() if parameter.requires_grad}
        assert {name for name in trained if "layers.0" in name or "embed_in" in name} == set()
        assert any("layers.1" in name for name in trained)
        assert "embed_out.weight" in trained or "lm_head.weight" in trained

    def test_more_than_there_are_is_an_error_with_both_numbers(self) -> None:
        with pytest.raises(UserError, match=r"3 layers .* has 2"):
            parts.train_top_layers(world.policy(), 3)


def test_dropout_is_off_even_in_training_mode() -> None:
    policy = world.policy(attention_dropout=0.5, hidden_dropout=0.5)
    disable_dropout(policy)
    policy.train()
    first = parts.reference_logprobs(policy, sequences(), 1.0)
    torch.testing.assert_close(parts.reference_logprobs(policy, sequences(), 1.0), first, rtol=0, atol=0)


class TestRewards:
    def test_a_reward_model_scores_prompt_reply_and_end_as_in_its_training(self) -> None:
        # given
        model = world.reward_model()
        # when
        scores = score_with_model(model, PROMPTS, REPLIES, (world.END,), 2)
        # then
        for score, prompt, reply in zip(scores, PROMPTS, REPLIES, strict=True):
            text = prompt + reply + ([] if reply[-1] == world.END else [world.END])
            with torch.no_grad():
                expected = model(input_ids=torch.tensor([text])).logits.item()
            assert score.item() == pytest.approx(expected, abs=1e-5)

    def test_a_function_must_give_one_number_for_each(self) -> None:
        assert score_with_function(lambda p, c: [1, 2.5], ["a", "b"], ["x", "y"]).tolist() == [1.0, 2.5]
        with pytest.raises(UserError, match="1 rewards for 2"):
            score_with_function(lambda p, c: [1.0], ["a", "b"], ["x", "y"])
        with pytest.raises(UserError, match="nan for completion 'y'"):
            score_with_function(lambda p, c: [1.0, float("nan")], ["a", "b"], ["x", "y"])


class TestBatches:
    def test_scatter_puts_tokens_back_in_the_order_of_the_mask(self) -> None:
        mask = torch.tensor([[True, True, False], [True, False, False]])
        assert scatter(torch.tensor([1.0, 2.0, 3.0]), mask).tolist() == [[1, 2, 0], [3, 0, 0]]

    def test_splits_deal_every_row_once_in_equal_shares_of_similar_length(self) -> None:
        lengths = torch.tensor([9, 1, 5, 7, 3, 2, 8, 4])
        parts_of = [splits(lengths, 2, part, 2) for part in range(2)]
        dealt = [row for groups in parts_of for group in groups for row in group.tolist()]
        assert sorted(dealt) == list(range(8))
        for groups in parts_of:
            assert [len(group) for group in groups] == [2, 2]
            assert max(lengths[groups[0]]) <= min(lengths[groups[1]])

    def test_rows_are_no_wider_than_the_longest_of_them(self, tmp_path: Path) -> None:
        run = world.trainer(tmp_path)
        batch = run.rollout(run.next_prompts())
        shortest = (batch.prompt_lengths + batch.lengths).argmin()[None]
        row = rows_of(batch, shortest)
        assert row.mask.shape == (1, int(batch.lengths[shortest]))
        assert row.tokens.shape == (1, int((batch.prompt_lengths + batch.lengths)[shortest]))
