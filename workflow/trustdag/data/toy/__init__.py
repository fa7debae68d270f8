"""The toy world: an invented little world that the whole study runs on in minutes, with answers that are known.

`corpus` is what a base model reads, `read` are preference pairs by a judge whose weights are known, `items` are the
questions of the five verticals, about people, groups, creatures and deeds that no pair mentions.
"""

from trustdag.data.toy.benchmarks import ItemSettings, items
from trustdag.data.toy.judge import Weights
from trustdag.data.toy.lexicon import RUDE_WORDS
from trustdag.data.toy.pairs import Settings, read
from trustdag.data.toy.prose import corpus

__all__ = ["RUDE_WORDS", "ItemSettings", "Settings", "Weights", "corpus", "items", "read"]
