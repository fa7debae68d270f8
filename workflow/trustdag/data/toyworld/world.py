"""The people, creatures and facts of the toy world, which depend on its seed."""

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
    """The true value of a creature's attribute, the value of a popular misconception, and a third value."""

    truth: str
    misconception: str
    other: str


@dataclass(frozen=True)
class WorldPart:
    """One half of the world. Preference pairs are about one half, items about the other, the corpus about both."""

    people: tuple[str, ...]
    groups: tuple[str, ...]
    creatures: tuple[str, ...]
    deeds: tuple[Deed, ...]


@dataclass(frozen=True)
class World:
    """A world: two halves that share no person, group, creature or deed, and the facts and stereotypes about them."""

    seen: WorldPart
    held_out: WorldPart
    facts: dict[tuple[str, str], Fact]
    """By creature and attribute."""
    stereotypes: dict[str, tuple[str, ...]]
    """By group: the topics with a negative stereotype about it."""

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
    """Every verb with every object, so that a held-out deed is a new combination of known words."""
    verbs = [(verb, True) for verb in lexicon.WRONG_VERBS] + [(verb, False) for verb in lexicon.RIGHT_VERBS]
    return [Deed(verb, thing, wrong) for (verb, wrong), thing in product(verbs, lexicon.OBJECTS)]


def _halves(things: Sequence[Thing], rng: random.Random) -> tuple[tuple[Thing, ...], tuple[Thing, ...]]:
    mixed = rng.sample(things, len(things))
    middle = len(mixed) // 2
    return tuple(mixed[:middle]), tuple(mixed[middle:])
