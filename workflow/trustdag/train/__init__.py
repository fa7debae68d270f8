"""Code that all training methods share: settings, checkpoints and resuming, divergence checks, outputs."""
