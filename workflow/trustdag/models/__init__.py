"""Base models (from the hub, from a folder, or trained from scratch), tokenizers and prompt formats."""
