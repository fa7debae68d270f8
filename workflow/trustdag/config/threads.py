"""The part of the configuration that says how many threads a job computes with."""

from typing import Annotated

from pydantic import Field, field_validator

from trustdag.align import methods
from trustdag.settings import Section

DEFAULT_THREADS = 2
"""Threads of a job that trains or asks a model: the same on every machine."""

Count = Annotated[int, Field(ge=1, le=1024)]


class Threads(Section):
    """Threads that each process computes with.

    Sums of floating-point numbers differ with their number, and so do weights. It is therefore the study's, and not
    what `--cores` or a node leaves: with fewer cores, the same threads share them.
    """

    default: Count = DEFAULT_THREADS
    """Of jobs that train a model or generate replies."""
    rules: dict[str, Count] = {}
    """Where a rule differs: `{base: 4, dpo: 1}`. `score` has one unless it is named: only classifiers need more."""

    @field_validator("rules")
    @classmethod
    def _rules_compute(cls, rules: dict[str, int]) -> dict[str, int]:
        known = ("base", *methods(), "generate", "score")
        for rule in rules:
            if rule not in known:
                raise ValueError(f"{rule}: no rule that computes with a model; there are {', '.join(known)}")
        return rules

    def of(self, rule: str) -> int:
        """The threads of a rule's jobs."""
        computes = rule == "base" or rule == "generate" or rule in methods()
        return self.rules.get(rule, self.default if computes else 1)
