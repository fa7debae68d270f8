"""One file a training method: sft, reward, dpo, ppo. A new file here is a new method (see docs/architecture.md)."""
