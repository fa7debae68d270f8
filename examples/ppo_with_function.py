"""PPO with a Python function as reward: `python examples/ppo_with_function.py MODEL OUT [UPDATES]`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from trustdag.models.load import load_policy, load_tokenizer
from trustdag.rl.settings import PPOSettings
from trustdag.rl.trainer import PPOTrainer


def says_thanks(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """1 for a completion that thanks, else 0."""
    return [float("thank" in completion.lower()) for completion in completions]


model, out, updates = Path(sys.argv[1]), Path(sys.argv[2]), int((sys.argv[3:] or [20])[0])
prompts = [f"\n\nHuman: Give {name} the lamp.\n\nAssistant:" for name in ("Ana", "Bo", "Cal", "Dee")] * 8
settings = PPOSettings(updates=updates, batch_size=16, minibatches=2, max_new_tokens=12, max_length=64)
out.mkdir(parents=True, exist_ok=True)
trainer = PPOTrainer(load_policy(model), load_tokenizer(model), says_thanks, prompts, settings, out)
trainer.train()
print(f"mean reward of the last update: {trainer.log.values['reward']:.3f}; all updates: {out / 'metrics.jsonl'}")
