"""Preference data: one file a source format, the toy world, and their preparation."""
