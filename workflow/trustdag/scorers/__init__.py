"""Scorers of text, such as toxicity, behind one interface. One file a scorer."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from trustdag.scorers.base import Scorer
from trustdag.scorers.profanity import Profanity
from trustdag.scorers.toy import Toy

if TYPE_CHECKING:
    pass

ScorerSettings = Annotated[Toy | Profanity, Field(discriminator="name")]

__all__ = ["Scorer", "ScorerSettings"]
