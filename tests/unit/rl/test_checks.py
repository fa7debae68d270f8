"""Bad input stops before the first rollout, with the numbers and the remedy."""

from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from pydantic import ValidationError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tests.support import ppo_world as world
from trustdag.align import ppo
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json, read_jsonl
from trustdag.rl.checks import check_division
from trustdag.rl.rollout import Prompt
from trustdag.rl.trainer import PPOTrainer
from trustdag.train.stage import Stage


def trainer(
    folder: Path,
    policy: PreTrainedModel | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    reward: Any = world.count_w5,
    prompts: list[Prompt] | None = None,
    **changes: Any,
) -> PPOTrainer:
    """A trainer, some of its parts wrong."""
    return PPOTrainer(
        policy or world.policy(),
        tokenizer or world.tokenizer(),
        reward,
        world.prompts() if prompts is None else prompts,
        world.settings(**changes),
        folder,
    )


class TestBadInput:
    def test_a_batch_that_does_not_divide(self, tmp_path: Path) -> None:
        with pytest.raises(ValidationError, match="batch_size: 9 replies do not divide into 2 minibatches"):
            trainer(tmp_path, batch_size=9)
        with pytest.raises(UserError, match=r"batch_size: 8 .* 2 minibatches on 3 processes; take a multiple of 6"):
            check_division(world.settings(), processes=3)

    def test_no_prompts(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="there are none"):
            trainer(tmp_path, prompts=[])

    def test_an_empty_prompt(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="1 of 2 have no tokens, the first is number 1"):
            trainer(tmp_path, prompts=["w2", ""])

    def test_prompts_longer_than_the_context(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"1 of 2 do not fit .* of 48 tokens with 8 new .*the longest has 41"):
            trainer(tmp_path, prompts=["w2", "w2 " * 41])

    def test_a_policy_without_an_end_of_text_token(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no end-of-text token"):
            trainer(tmp_path, tokenizer=world.tokenizer(end=None))

    def test_a_tokenizer_with_more_tokens_than_the_policy(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"40 tokens .* output layer 32"):
            trainer(tmp_path, tokenizer=world.tokenizer(40))

    def test_a_reward_model_with_fewer_tokens(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="reads 20 tokens, the policy's vocabulary has 32"):
            trainer(tmp_path, reward=world.reward_model(vocab_size=20))

    def test_a_reward_model_with_another_vocabulary_of_the_same_size(self, tmp_path: Path) -> None:
        other = world.tokenizer()
        other.add_tokens(["extra"])
        words = world.tokenizer().get_vocab()
        swapped = world.tokenizer()
        swapped.get_vocab = lambda: words | {"w2": 3, "w3": 2}
        with pytest.raises(UserError, match="2 of the policy's 32 tokens have another id"):
            PPOTrainer(
                world.policy(), world.tokenizer(), world.reward_model(), world.prompts(), world.settings(), tmp_path,
                reward_tokenizer=swapped,
            )  # fmt: skip

    def test_a_larger_reward_model_must_show_its_tokenizer(self, tmp_path: Path) -> None:
        # given a reward model with 40 tokens, the policy's 32 among them: by the size alone, nobody can tell
        larger = world.reward_model(vocab_size=40)
        # when, then
        with pytest.raises(UserError, match="reads 40 tokens, the policy 32; pass its tokenizer as reward_tokenizer"):
            trainer(tmp_path, reward=larger)
        PPOTrainer(
            world.policy(), world.tokenizer(), larger, world.prompts(), world.settings(), tmp_path,
            reward_tokenizer=world.tokenizer(40),
        )  # fmt: skip

    def test_weights_in_half_precision(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"weights that train are torch.float16, .* dtype=torch.float32"):
            trainer(tmp_path, policy=world.policy().half())

    def test_conversations_without_a_chat_template(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no chat template; take another prompt_format"):
            trainer(tmp_path, prompts=[[{"role": "user", "content": "w2"}]])

    def test_a_reward_model_with_two_labels(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="has 2 labels"):
            trainer(tmp_path, reward=world.reward_model(num_labels=2))

    def test_a_reward_model_without_a_padding_token(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="pad_token_id"):
            trainer(tmp_path, reward=world.reward_model(pad_token_id=None))

    def test_lora_with_dropout_or_with_top_layers(self, tmp_path: Path) -> None:
        with pytest.raises(ValidationError, match=r"lora.dropout: 0.1"):
            trainer(tmp_path, lora={"rank": 2, "dropout": 0.1})
        with pytest.raises(ValidationError, match="leave one of them empty"):
            trainer(tmp_path, lora={"rank": 2}, top_layers=1)

    def test_logits_that_are_not_the_output_layers(self, tmp_path: Path) -> None:
        policy = world.policy()
        forward = policy.forward

        def capped(**inputs: Any) -> Any:
            output = forward(**inputs)
            output.logits = 3 * torch.tanh(output.logits / 3)
            return output

        policy.forward = capped
        with pytest.raises(UserError, match="changes its logits"):
            trainer(tmp_path, policy=policy)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Models and data on disk, as the DAG has them."""
    for name, model in (("policy", world.policy()), ("reward", world.reward_model())):
        model.save_pretrained(tmp_path / name / "model")
        world.tokenizer().save_pretrained(tmp_path / name / "model")
    rows = [{"prompt": [{"role": "user", "content": text}]} for text in [*world.prompts(), "w3 " * 30]]
    (tmp_path / "data").mkdir()
    for split in ("train", "validation"):
        pandas.DataFrame(rows).to_parquet(tmp_path / "data" / f"{split}.parquet")
    folders = (tmp_path / "policy" / "model", tmp_path / "reward" / "model", tmp_path / "data")
    return Stage("ppo", *folders, seed=0, prompt_format="plain", out=tmp_path / "out")


class TestStage:
    def test_it_leaves_a_model_a_manifest_metrics_and_samples(self, stage: Stage) -> None:
        # when
        settings = world.settings(max_length=32, samples_every=2, sample_count=3)
        ppo.train(stage, settings)
        # then
        from transformers import AutoModelForCausalLM, AutoTokenizer

        trained = AutoModelForCausalLM.from_pretrained(stage.model)
        assert AutoTokenizer.from_pretrained(stage.model).eos_token == "<end>"
        changed = [
            not torch.equal(a, b) for a, b in zip(trained.parameters(), world.policy().parameters(), strict=True)
        ]
        assert any(changed)
        facts = read_json(stage.manifest)["facts"]
        assert (facts["prompts"], facts["prompts_too_long"]) == (24, 1)
        assert [line["step"] for line in read_jsonl(stage.metrics)] == [1, 2, 3, 4]
        assert {line["step"] for line in read_jsonl(stage.out / "samples.jsonl")} == {1, 2, 4}
        assert len(read_jsonl(stage.out / "samples.jsonl")) == 9
        assert not (stage.out / ".checkpoints").exists()

    def test_every_update_is_logged_with_what_a_person_needs_first(self, stage: Stage) -> None:
        ppo.train(stage, world.settings(max_length=32, updates=1))
        expected = {
            "reward", "kl", "kl_coef", "entropy", "policy_clip_fraction", "value_clip_fraction", "explained_variance",
            "length", "ended", "seconds_generate", "seconds_reward", "seconds_evaluate", "seconds_optimize",
            "tokens_per_second",
        }  # fmt: skip
        assert expected <= read_jsonl(stage.metrics)[0].keys()

    def test_a_lora_run_leaves_merged_weights(self, stage: Stage) -> None:
        ppo.train(stage, world.settings(max_length=32, updates=1, lora={"rank": 2}))
        from transformers import AutoModelForCausalLM

        names = dict(AutoModelForCausalLM.from_pretrained(stage.model).named_parameters()).keys()
        assert names == dict(world.policy().named_parameters()).keys()

    def test_no_prompt_that_fits_is_an_error_with_the_numbers(self, stage: Stage) -> None:
        with pytest.raises(UserError, match="none of 25 prompts leaves room for 8 new tokens within max_length 9"):
            ppo.train(stage, world.settings(max_length=9))

    def test_a_length_beyond_the_context(self, stage: Stage) -> None:
        with pytest.raises(UserError, match="49"):
            ppo.train(stage, world.settings(max_length=49))
