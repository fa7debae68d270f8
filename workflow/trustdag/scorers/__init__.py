"""Scorers of text, such as toxicity, behind one interface. One file a scorer."""

from typing import Annotated

from pydantic import Field

from trustdag.scorers.classifier import Classifier
from trustdag.scorers.ngrams import NGrams
from trustdag.scorers.perspective import Perspective
from trustdag.scorers.profanity import Profanity
from trustdag.scorers.toy import Toy

ScorerSettings = Annotated[Profanity | NGrams | Classifier | Perspective | Toy, Field(discriminator="name")]
"""The settings of one scorer; `name` says which."""
