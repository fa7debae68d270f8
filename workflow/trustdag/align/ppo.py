"""Proximal policy optimization: from a policy and a reward model to an aligned policy.

Schulman et al. 2017 (arXiv 1707.06347) for language models after Ziegler et al. 2019 (arXiv 1909.08593). The algorithm
is in rl/trainer.py, its losses in rl/losses.py.
"""

import shutil
import sys
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

from trustdag.artifacts import atomic_file, read_table
from trustdag.errors import UserError
from trustdag.jsonfiles import read_jsonl
from trustdag.models.dialogue import control_token_in
from trustdag.models.size import SINGLE, parameters_in_folder
from trustdag.rl.settings import PPOSettings
from trustdag.train.capacity import (
    GRADIENT,
    ForwardPass,
    StageSize,
    check_disk,
    check_memory,
    disk_need,
    stage_memory,
)
from trustdag.train.cost import MethodCost
from trustdag.train.memory import ActivationBudget
from trustdag.train.stage import Stage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trustdag.rl.trainer import PPOTrainer

REQUIRES = ("policy", "reward")
PRODUCES = "policy"
Settings = PPOSettings


def cost(settings: PPOSettings, pairs: int) -> MethodCost:  # noqa: ARG001 - the updates count, not the pairs
    """Sampling, forward passes of reference and reward model, and `epochs` training passes of the policy.

    A separate value model has a forward pass and training passes too. A head on the policy's trunk costs nothing extra.
    """
    trained = 1 if settings.value == "head" else 2
    return MethodCost(
        trained=trained,
        frozen=2,
        sequences=1,
        flops=2 + 2 * (trained + 2) + 6 * trained * settings.epochs,
        device_batch=settings.device_batch_size or ceil(settings.batch_size / settings.minibatches),
        examples=settings.updates * settings.batch_size,
    )


def train(stage: Stage, settings: PPOSettings) -> None:
    """Trains `stage.policy` against `stage.reward` on the prompts of train.parquet.

    Prompts that leave no room for a reply within `max_length` are dropped and counted in the manifest.

    Raises:
        UserError: There is no reward model, no prompt fits, memory or disk are too small, the models do not fit each
            other, or the run diverges.
    """
    from trustdag.models.load import check_length, load_config, load_policy, load_reward, load_tokenizer
    from trustdag.rl.trainer import PPOTrainer
    from trustdag.train.session import session

    if stage.reward is None:
        raise UserError("ppo: needs a reward model; put `reward` before `ppo` in the recipe")
    for folder in (stage.policy, stage.reward):
        check_length(folder, load_config(folder), settings.max_length)
    tokenizer = load_tokenizer(stage.policy)
    prompts, facts = read_prompts(stage, settings, tokenizer)
    size = stage_size(stage, settings)
    check_memory(stage.policy, stage.method, size, stage_memory())
    with session(stage, settings) as opened:
        need = disk_need(size, settings.updates, settings)
        check_disk(opened.folder, replace(need, mapped=sum(frozen_sizes(stage, settings)[1])))
        trainer = PPOTrainer(
            load_policy(stage.policy), tokenizer, load_reward(stage.reward), prompts, settings, opened.folder,
            seed=stage.seed, prompt_format=stage.prompt_format, reward_tokenizer=load_tokenizer(stage.reward),
            trackers=opened.trackers,
        )  # fmt: skip
        trainer.train(opened.stop)
        trainer.close()
        save(stage, settings, trainer, facts)


def stage_size(stage: Stage, settings: PPOSettings) -> StageSize:
    """What the stage keeps in memory: the trained trunks, and the reference and the reward model as readers."""
    import torch

    from trustdag.models.load import choose_bf16, load_config

    config, width = load_config(stage.policy), 2 if choose_bf16(settings.precision) else SINGLE
    trunks = 1 if settings.value == "head" else 2
    examples = settings.device_batch_size or ceil(settings.batch_size / settings.minibatches)
    recompute = bool(settings.gradient_checkpointing)
    if not torch.cuda.is_available():
        budget = ActivationBudget.of(config, trunks)
        examples = min(examples, settings.device_batch_size or max(1, budget.tokens // settings.max_length))
        recompute = recompute or (settings.gradient_checkpointing is None and not budget.holds(settings.max_length))
    forward = ForwardPass(examples, settings.max_length, recompute, width)
    size = StageSize.of(config, parameters_in_folder(stage.policy), settings, forward, trunks)
    if settings.top_layers is not None:
        size = replace(size, trained=size.trained * min(1.0, settings.top_layers / size.layers))
    kept, mapped = frozen_sizes(stage, settings)
    # While a mapped model is read, there are no gradients.
    return replace(size, frozen=sum(kept) + max(0.0, max(mapped, default=0.0) - GRADIENT * size.trained))


def frozen_sizes(stage: Stage, settings: PPOSettings) -> tuple[list[float], list[float]]:
    """Sizes of the reference and of the reward model.

    Args:
        stage: The stage, with its model folders.
        settings: With `lora`, the reference is the policy itself.

    Returns:
        Bytes of each one that stays in memory, and of each one that is in a file while the policy is trained
        (`models/mapped.py`).
    """
    import torch

    from trustdag.models.cpu import MAPPED
    from trustdag.models.load import choose_bf16

    width = 2 if choose_bf16(settings.precision) else SINGLE
    readers = [stage.policy] if settings.lora is None else []
    readers += [stage.reward] if stage.reward is not None else []
    sizes = [float(width * parameters_in_folder(reader)) for reader in readers]
    least = float("inf") if torch.cuda.is_available() else MAPPED
    return [size for size in sizes if size <= least], [size for size in sizes if size > least]


def save(stage: Stage, settings: PPOSettings, trainer: "PPOTrainer", facts: dict[str, Any]) -> None:
    """Writes the outputs of the stage: samples, metrics, model and manifest.

    Args:
        stage: The stage, with its output folder.
        settings: The stage's settings.
        trainer: The trainer after its last update.
        facts: How many prompts were used and dropped; the last update's metrics are added.
    """
    from trustdag.train.outputs import write_outputs

    policy, weights = trainer.trained_policy()
    if trainer.accelerator.is_main_process:
        if trainer.log.samples.is_file():
            with atomic_file(stage.out / "samples.jsonl") as partial:
                shutil.copyfile(trainer.log.samples, partial)
        last = read_jsonl(trainer.log.metrics.path, {})[-1]
        kept = {name: last[name] for name in ("reward", "kl", "entropy", "length", "ended") if last[name] is not None}
        write_outputs(stage, settings, policy, trainer.tokenizer, facts | kept, weights)
    trainer.accelerator.wait_for_everyone()


def read_prompts(
    stage: Stage, settings: PPOSettings, tokenizer: "PreTrainedTokenizerBase"
) -> tuple[list[list[Any]], dict[str, int]]:
    """The conversations of train.parquet that leave room for a reply.

    Args:
        stage: The stage, with its data and prompt format.
        settings: Longest prompt and reply together, and longest reply, in tokens.
        tokenizer: The policy's tokenizer.

    Returns:
        The conversations, each a list of messages; and the counts of those kept and dropped.

    Raises:
        UserError: No prompt leaves room.
    """
    from trustdag.rl.rollout import encode

    path = stage.data / "train.parquet"
    everything = [list(prompt) for prompt in read_table(path, ["prompt"], "preference pairs")["prompt"]]
    conversations = [prompt for prompt in everything if stage.prompt_format != "chat" or _is_plain(prompt, tokenizer)]
    room = settings.max_length - settings.max_new_tokens - 1  # a reply that is cut gets an end token for its reward
    ids = encode(conversations, tokenizer, stage.prompt_format)
    kept = [prompt for prompt, tokens in zip(conversations, ids, strict=True) if len(tokens) <= room]
    if not kept:
        raise UserError(
            f"{path}: none of {len(everything)} prompts leaves room for {settings.max_new_tokens} new tokens within "
            f"max_length {settings.max_length}; raise max_length or lower max_new_tokens"
        )
    dropped = len(everything) - len(kept)
    if dropped:
        print(
            f"train: {dropped:,} of {len(everything):,} prompts ({dropped / len(everything):.0%}) are left out: with "
            f"control tokens, or without room for {settings.max_new_tokens} new ones in {settings.max_length}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    return kept, {
        "prompts": len(kept),
        "prompts_too_long": len(conversations) - len(kept),
        "prompts_with_control_tokens": len(everything) - len(conversations),
    }


def _is_plain(prompt: list[Any], tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether no text of a prompt contains the name of a control token, which a chat template would turn into one."""
    return all(control_token_in(message["content"], tokenizer) is None for message in prompt)
