"""Proximal policy optimization: a policy and a reward model to an aligned policy.

Schulman et al. 2017 (arXiv 1707.06347) for language models after Ziegler et al. 2019 (arXiv 1909.08593). The algorithm
is in rl/trainer.py, its losses in rl/losses.py.
"""

import shutil
from typing import TYPE_CHECKING, Any

from trustdag.artifacts import atomic_file, read_jsonl, read_table
from trustdag.errors import UserError
from trustdag.rl.settings import PPOSettings
from trustdag.train.stage import Stage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trustdag.rl.trainer import PPOTrainer

REQUIRES = ("policy", "reward")
PRODUCES = "policy"
Settings = PPOSettings


def train(stage: Stage, settings: PPOSettings) -> None:
    """Trains `stage.policy` against `stage.reward` on the prompts of train.parquet.

    Prompts that leave no room for a reply within `max_length` are dropped and counted in the manifest.
    """
    from trustdag.models.load import check_length, load_config, load_policy, load_reward, load_tokenizer
    from trustdag.rl.trainer import PPOTrainer
    from trustdag.train.session import session

    if stage.reward is None:
        raise UserError("ppo: needs a reward model; put `reward` before `ppo` in the recipe")
    check_length(stage.policy, load_config(stage.policy), settings.max_length)
    tokenizer = load_tokenizer(stage.policy)
    prompts, facts = read_prompts(stage, settings, tokenizer)
    with session(stage, settings) as opened:
        trainer = PPOTrainer(
            load_policy(stage.policy), tokenizer, load_reward(stage.reward), prompts, settings, opened.folder,
            seed=stage.seed, prompt_format=stage.prompt_format, reward_tokenizer=load_tokenizer(stage.reward),
        )  # fmt: skip
        trainer.train(opened.stop)
        save(stage, settings, trainer, facts)


def save(stage: Stage, settings: PPOSettings, trainer: "PPOTrainer", facts: dict[str, Any]) -> None:
    """Writes what the stage leaves: samples, metrics, model and manifest."""
    from trustdag.train.outputs import write_outputs

    policy, weights = trainer.trained_policy()
    if trainer.accelerator.is_main_process:
        if trainer.log.samples.is_file():
            with atomic_file(stage.out / "samples.jsonl") as partial:
                shutil.copyfile(trainer.log.samples, partial)
        last = read_jsonl(trainer.log.metrics.path)[-1]
        kept = {name: last[name] for name in ("reward", "kl", "entropy", "length", "ended") if last[name] is not None}
        write_outputs(stage, settings, policy, trainer.tokenizer, facts | kept, weights)
    trainer.accelerator.wait_for_everyone()


def read_prompts(
    stage: Stage, settings: PPOSettings, tokenizer: "PreTrainedTokenizerBase"
) -> tuple[list[list[Any]], dict[str, int]]:
    """The conversations of train.parquet that leave room for a reply, and how many there were and were too long."""
    from trustdag.rl.rollout import encode

    path = stage.data / "train.parquet"
    conversations = [list(prompt) for prompt in read_table(path, ["prompt"], "preference pairs")["prompt"]]
    room = settings.max_length - settings.max_new_tokens
    ids = encode(conversations, tokenizer, stage.prompt_format)
    kept = [each for each, tokens in zip(conversations, ids, strict=True) if len(tokens) <= room]
    if not kept:
        raise UserError(
            f"{path}: none of {len(conversations)} prompts leaves room for {settings.max_new_tokens} new tokens within "
            f"max_length {settings.max_length}; raise max_length or lower max_new_tokens"
        )
    return kept, {"prompts": len(kept), "prompts_too_long": len(conversations) - len(kept)}
