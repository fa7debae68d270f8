"""Who lives in the toy world and what is true there: everything that a seed decides before anybody speaks."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from trustdag.data.toyworld import lexicon

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Deed:
    """Somebody did `verb` to `thing`."""

    verb: str
    thing: str
    wrong: bool


@dataclass(frozen=True)
class Fact:
    """What is true of a creature's attribute, what many wrongly believe, and a value that nobody believes."""

    truth: str
    misconception: str
    other: str


@dataclass(frozen=True)
class WorldPart:
    """One half of the world. Preference pairs speak of one, items of the other, the base model's corpus of both."""

    people: tuple[str, ...]
    groups: tuple[str, ...]
    creatures: tuple[str, ...]
    deeds: tuple[Deed, ...]


@dataclass(frozen=True)
class World:
    """A world: two halves that share no person, group, creature or deed, and what is told of them."""

    seen: WorldPart
    held_out: WorldPart
    facts: dict[tuple[str, str], Fact]
    """By creature and attribute."""
    stereotypes: dict[str, tuple[str, ...]]
    """By group: the topics on which people think ill of it."""

    @property
    def parts(self) -> tuple[WorldPart, WorldPart]:
        """Both halves."""
        return self.seen, self.held_out


def build(seed: int) -> World:
    """The world of a seed."""
    rng = random.Random(f"world {seed}")
    people = _halves(_names(lexicon.PEOPLE_STARTS, lexicon.PEOPLE_ENDS), rng)
    groups = _halves(_names(lexicon.GROUP_STARTS, lexicon.GROUP_ENDS), rng)
    creatures = _halves(_names(lexicon.CREATURE_STARTS, lexicon.CREATURE_ENDS), rng)
    deeds = _halves(_deeds(), rng)
    facts = {
        (creature, attribute): Fact(*rng.sample(values, 3))
        for creature in sorted(creatures[0] + creatures[1])
        for attribute, (_, values) in lexicon.FACTS.items()
    }
    stereotypes = {
        group: tuple(sorted(rng.sample(sorted(lexicon.TRAITS), 3))) for group in sorted(groups[0] + groups[1])
    }
    seen, held_out = (WorldPart(*half) for half in zip(people, groups, creatures, deeds, strict=True))
    return World(seen, held_out, facts, stereotypes)


def _names(starts: tuple[str, ...], ends: tuple[str, ...]) -> list[str]:
    return [start + end for start, end in product(starts, ends)]


def _deeds() -> list[Deed]:
    """Every verb with every object, so that a held-out deed is a new combination of words that are known."""
    verbs = [(verb, True) for verb in lexicon.WRONG_VERBS] + [(verb, False) for verb in lexicon.RIGHT_VERBS]
    return [Deed(verb, thing, wrong) for (verb, wrong), thing in product(verbs, lexicon.OBJECTS)]


def _halves(things: Sequence[Thing], rng: random.Random) -> tuple[tuple[Thing, ...], tuple[Thing, ...]]:
    mixed = rng.sample(things, len(things))
    middle = len(mixed) // 2
    return tuple(mixed[:middle]), tuple(mixed[middle:])
