"""TRL's side of conformance_trl_ppo.py: one update of its own trainer; what it computed goes to trl.safetensors."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import datasets
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer

import ppo_models

KEPT = ("responses", "logprobs", "ref_logprobs", "values", "scores", "advantages", "returns", "rewards", "kl")


def main() -> None:
    """Trains for one update of one optimizer step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    datasets.disable_progress_bars()
    trainer = build(folder, ppo_models.SHAPES["conformance"])
    kept: dict[str, torch.Tensor] = {}
    # `log` is called when all of an update is still among train()'s local variables.
    trainer.log = lambda metrics: kept.update(quantities(sys._getframe(1).f_locals, metrics))
    trainer.train()
    state = trainer.model.state_dict()
    weights = {name: value for name, value in state.items() if name.startswith(("policy.", "value_model."))}
    save_file({name: value.contiguous() for name, value in (kept | weights).items()}, folder / "trl.safetensors")


def build(folder: Path, shape: ppo_models.Shape) -> PPOTrainer:
    """TRL's trainer: the whole batch in one optimizer step."""
    config = PPOConfig(
        output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, gradient_checkpointing=False, num_ppo_epochs=1,
        per_device_train_batch_size=shape.batch, total_episodes=shape.batch, num_mini_batches=1, stop_token="eos",  # noqa: S106
        response_length=shape.reply, temperature=0.8, local_rollout_forward_batch_size=shape.batch,
        num_sample_generations=0, learning_rate=1e-3, lr_scheduler_type="constant", report_to="none",
        save_strategy="no", logging_steps=1, disable_tqdm=True, kl_coef=0.05, vf_coef=0.1,
    )  # fmt: skip
    prompts = [ids[: 1 + row % shape.prompt] for row, ids in enumerate(ppo_models.prompts(shape))][: shape.batch]
    data = datasets.Dataset.from_dict({"input_ids": prompts})
    policy = AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32)
    reward = AutoModelForSequenceClassification.from_pretrained(folder / "reward", dtype=torch.float32)
    value = AutoModelForSequenceClassification.from_pretrained(folder / "reward", dtype=torch.float32)
    words = AutoTokenizer.from_pretrained(folder / "policy")
    return PPOTrainer(config, words, policy, None, reward, data, value, eval_dataset=data)


def quantities(variables: dict[str, Any], metrics: dict[str, float]) -> dict[str, torch.Tensor]:
    """What train() has computed, and its two losses."""
    kept = {name: variables[name].clone() for name in KEPT}
    kept["queries"] = variables["query_responses"][:, : variables["context_length"]].clone()
    kept["mask"] = ~variables["padding_mask"]
    kept["policy_loss"] = torch.tensor(metrics["loss/policy_avg"])
    kept["value_loss"] = torch.tensor(metrics["loss/value_avg"])
    return kept


if __name__ == "__main__":
    main()
