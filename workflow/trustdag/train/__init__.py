"""What training methods share: settings, checkpoints and resuming, guards against divergence, model cards."""
