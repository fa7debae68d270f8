"""A tiny policy, tokenizer and reward for the PPO tests, and a run that can be its own process.

`python ppo_world.py FOLDER [SETTINGS-JSON]` trains in FOLDER and writes FOLDER/final.safetensors, all weights, and
FOLDER/policy.safetensors, the policy as a stage would write it.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GPTNeoXForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from trustdag.rl.rewards import RewardFunction
from trustdag.rl.settings import PPOSettings
from trustdag.rl.trainer import PPOTrainer
from trustdag.train.checkpoints import exclusive, stop_on_signals

VOCABULARY = 32
END, PAD = 0, 1
CONTEXT = 48


def config(**changes: Any) -> GPTNeoXConfig:
    """A GPT-NeoX with 2 layers of width 16."""
    base = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": END,
        "eos_token_id": END,
        "pad_token_id": PAD,
        "initializer_range": 0.3,
    }
    return GPTNeoXConfig(**(base | changes))


def policy(seed: int = 0, **changes: Any) -> GPTNeoXForCausalLM:
    """Random weights, far from uniform."""
    torch.manual_seed(seed)
    return GPTNeoXForCausalLM(config(**changes)).eval()


def reward_model(seed: int = 1, **changes: Any) -> GPTNeoXForSequenceClassification:
    """Random weights, one score."""
    torch.manual_seed(seed)
    return GPTNeoXForSequenceClassification(config(**({"num_labels": 1} | changes))).eval()


def tokenizer(size: int = VOCABULARY, end: str | None = "<end>") -> PreTrainedTokenizerFast:
    """One word a token: `<end>`, `<pad>`, w2, w3, ..."""
    words = {"<end>": END, "<pad>": PAD} | {f"w{index}": index for index in range(2, size)}
    words_only = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    words_only.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words_only, eos_token=end, pad_token="<pad>")


def prompts(count: int = 24) -> list[str]:
    """Texts of 1 to 7 words."""
    return [" ".join(f"w{2 + (5 * index + 3 * word) % 30}" for word in range(1 + index % 7)) for index in range(count)]


def settings(**changes: Any) -> PPOSettings:
    """Small, quick, and with every moving part moving."""
    base = {
        "updates": 4,
        "batch_size": 8,
        "minibatches": 2,
        "epochs": 2,
        "max_new_tokens": 8,
        "learning_rate": 1e-3,
        "kl_target": 1.0,
        "reward_scaling": "running",
        "checkpoint_every": 1,
        "warmup": 0.2,
        "schedule": "cosine",
        "entropy_coef": 0.01,
    }
    return PPOSettings(**(base | changes))


def count_w5(_prompts: Sequence[Any], completions: Sequence[str]) -> list[float]:
    """A reward function: how often w5 is said."""
    return [float(text.split().count("w5")) for text in completions]


def trainer(folder: Path, reward: PreTrainedModel | RewardFunction = count_w5, **changes: Any) -> PPOTrainer:
    """A trainer on the tiny world."""
    return PPOTrainer(policy(), tokenizer(), reward, prompts(), settings(**changes), folder)


def weights(trained: PPOTrainer) -> dict[str, torch.Tensor]:
    """Every weight of policy and value model."""
    return {name: value.detach().clone() for name, value in trained.plain.state_dict().items()}


def run_to_the_end(folder: Path, changes: dict[str, Any]) -> None:
    """Trains as a process that may be killed; `reward_model` in `changes` takes a model in place of the function."""
    with exclusive(folder), stop_on_signals() as stop:
        run = trainer(folder, reward_model() if changes.pop("reward_model", False) else count_w5, **changes)
        run.train(stop)
        whole = run.accelerator.get_state_dict(run.model)  # all processes take part, where each holds a shard
        if run.accelerator.is_main_process:
            save(whole, folder / "final.safetensors")
        policy, spread = run.trained_policy()
        if run.accelerator.is_main_process:
            save(spread or policy.state_dict(), folder / "policy.safetensors")


def save(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Writes weights, each on its own."""
    save_file({name: value.detach().contiguous().clone() for name, value in weights.items()}, path)


if __name__ == "__main__":
    run_to_the_end(Path(sys.argv[1]), json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}"))
