"""Base models: from the hub, from a folder, or trained from scratch; and how a model is asked."""
