"""The parts of PPO: losses, rollouts, KL control, checkpoints."""
