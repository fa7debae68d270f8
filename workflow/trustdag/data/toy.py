"""Preference pairs of the toy world, and the prose that its base models read."""

from trustdag.data.toyworld.pairs import Settings, read
from trustdag.data.toyworld.prose import corpus

__all__ = ["Settings", "corpus", "read"]
