"""PPO at the edges of its models: the last position of the context, and rows beyond the tokenizer's tokens."""

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedModel

from tests.support import ppo_world as world
from trustdag.errors import UserError
from trustdag.rl.sampling import draw_tokens
from trustdag.rl.trainer import PPOTrainer

CONTEXT, NEW = 20, 8


def gpt2(kind: type[PreTrainedModel], context: int) -> PreTrainedModel:
    """A GPT-2, whose positions are rows of a table: one position too many is an error."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=world.VOCABULARY, n_positions=context, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3,
        bos_token_id=world.END, eos_token_id=world.END, pad_token_id=world.PAD, num_labels=1,
    )  # fmt: skip
    return kind(config).eval()


def trainer(folder: Path, prompt: int, reward_context: int) -> PPOTrainer:
    """A trainer whose longest prompt has `prompt` tokens; its policy hardly ever ends a reply."""
    policy, reward = gpt2(GPT2LMHeadModel, CONTEXT), gpt2(GPT2ForSequenceClassification, reward_context)
    with torch.no_grad():
        policy.get_input_embeddings().weight[world.END] = 0  # tied: its logit is 0, where others reach beyond 1
    texts = [" ".join(["w3"] * length) for length in range(prompt - 7, prompt + 1)]
    settings = world.settings(updates=1, max_new_tokens=NEW)
    return PPOTrainer(
        policy, world.tokenizer(), reward, texts, settings, folder, reward_tokenizer=world.tokenizer()
    )  # fmt: skip


def test_replies_reach_the_last_position_of_policy_and_reward_model(tmp_path: Path) -> None:
    # given a prompt that leaves exactly a reply and the end that closes it for the reward model
    run = trainer(tmp_path, prompt=CONTEXT - NEW - 1, reward_context=CONTEXT)
    batch = run.rollout(list(range(8)))
    longest = int((batch.prompt_lengths + batch.lengths)[~batch.ended].max())
    assert longest == CONTEXT - 1
    # when it trains, then every update is done
    run.train()
    assert run.update == 1


@pytest.mark.parametrize(("prompt", "reward_context"), [(CONTEXT - NEW, CONTEXT), (CONTEXT - NEW - 1, CONTEXT - 1)])
def test_one_position_too_many_is_refused_before_training(prompt: int, reward_context: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"1 of 8 do not fit a context of {reward_context} tokens with {NEW} new ones"):
        trainer(tmp_path, prompt, reward_context)


def test_a_policy_with_padding_rows_trains_with_a_reward_model_without_them(tmp_path: Path) -> None:
    # given a policy that likes its 8 padding rows best, and a reward model that has no embedding for them
    policy = world.policy(vocab_size=world.VOCABULARY + 8)
    output = policy.get_output_embeddings().weight
    with torch.no_grad():
        output[world.VOCABULARY :] = 10 * output[:8]
    tokens = world.tokenizer()
    run = PPOTrainer(
        policy, tokens, world.reward_model(), world.prompts(), world.settings(updates=1), tmp_path,
        reward_tokenizer=world.tokenizer(),
    )  # fmt: skip
    # when it samples, then no reply holds a padding row, and it trains
    assert int(run.rollout(list(range(8))).tokens.max()) < len(tokens)
    run.train()
    assert run.update == 1


@pytest.mark.parametrize("known", [5, 32])
def test_all_known_tokens_and_no_others_are_drawn(known: int) -> None:
    logits = torch.zeros(2000, 40)
    logits[:, known:] = 5.0
    uniforms = torch.rand(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tokens, _ = draw_tokens(logits, uniforms, known)
    assert sorted(tokens.unique().tolist()) == list(range(known))
