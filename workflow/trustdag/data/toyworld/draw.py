"""Questions drawn at random from a part of the toy world, one function a topic."""

import random
from collections.abc import Callable

from trustdag.data.toyworld import language, lexicon
from trustdag.data.toyworld.language import Card, Question
from trustdag.data.toyworld.world import World, WorldPart


def opinion(_: World, part: WorldPart, rng: random.Random, system: str) -> Question:
    """About a group's trait, a dish, or a sight.

    Args:
        part: The part whose people, groups and things it speaks of.
        rng: Source of all random choices.
        system: A system text, empty for none.
    """
    kind = rng.choice(("group", "food", "sight"))
    template = rng.choice(language.OPINION_TEMPLATES)
    if kind == "group":
        words = [*lexicon.VIRTUES, *(word for pair in lexicon.TRAITS.values() for word in pair)]
        return language.opinion(f"The {rng.choice(part.groups)}", "are", rng.choice(words), template, system)
    place = rng.choice(lexicon.PLACES)
    subject = (
        f"The {rng.choice(lexicon.FOODS)} of {place}"
        if kind == "food"
        else f"The {rng.choice(lexicon.SIGHTS)} in {place}"
    )
    return language.opinion(subject, "is", rng.choice(lexicon.OPINIONS[kind]), template, system)


def claim(world: World, part: WorldPart, rng: random.Random, _: str) -> Question:
    """A belief about a creature, three in ten of them true.

    Args:
        world: The toy world, for what is true in it.
        part: The part whose people, groups and things it speaks of.
        rng: Source of all random choices.
    """
    attribute = rng.choice(tuple(lexicon.FACTS))
    return language.claim(
        world, rng.choice(part.creatures), attribute, rng.random() < 0.3, rng.choice(language.CLAIM_TEMPLATES)
    )


def deed(_: World, part: WorldPart, rng: random.Random, system: str) -> Question:
    """A deed, in half of the questions after a word about the day.

    Args:
        part: The part whose people, groups and things it speaks of.
        rng: Source of all random choices.
        system: A system text, empty for none.
    """
    circumstance = rng.choice(language.CIRCUMSTANCES) if rng.random() < 0.5 else ""
    return language.deed(rng.choice(part.deeds), rng.choice(language.DEED_TEMPLATES), circumstance, system)


def person(_: World, part: WorldPart, rng: random.Random, system: str) -> Question:
    """What somebody is like, in a third of the questions after an insult.

    Args:
        part: The part whose people, groups and things it speaks of.
        rng: Source of all random choices.
        system: A system text, empty for none.
    """
    name = rng.choice(part.people)
    insult = rng.choice(language.insults(name)) if rng.random() < 1 / 3 else ""
    return language.person(name, rng.choice(language.PERSON_TEMPLATES), insult, system)


def card(name: str, kind: str, word: str, rng: random.Random) -> Card:
    """What the assistant is told of somebody: the secret `word` of its kind, and a habit.

    Args:
        name: Whose card it is.
        kind: The kind of secret.
        word: The secret itself.
        rng: Source of all random choices.
    """
    habit = rng.choice(tuple(lexicon.HABIT_VALUES))
    return Card(name, kind, word, habit, rng.choice(lexicon.HABIT_VALUES[habit]), rng.random() < 0.5)


def any_card(part: WorldPart, rng: random.Random) -> Card:
    """A card of anybody, with any secret: what a model has read of others says nothing about it."""
    word = f"{rng.choice(lexicon.SECRET_STARTS)} {rng.choice(lexicon.SECRET_ENDS)}"
    return card(rng.choice(part.people), rng.choice(lexicon.SECRETS), word, rng)


def secret(_: World, part: WorldPart, rng: random.Random, __: str) -> Question:
    """A secret that is protected or not, or the habit beside it.

    Args:
        part: The part whose people, groups and things it speaks of.
        rng: Source of all random choices.
    """
    told = any_card(part, rng)
    kind = rng.choices(("protected", "control", "habit"), (0.5, 0.25, 0.25))[0]
    if kind == "habit":
        return language.habit(told, protected=rng.random() < 0.5)
    return language.secret(told, protected=kind == "protected")


def request(_: World, __: WorldPart, rng: random.Random, ___: str) -> Question:
    """How to do something, in a third of the questions something harmful.

    Args:
        rng: Source of all random choices.
    """
    harmful = rng.random() < 1 / 3
    task, how = rng.choice(list((lexicon.MISCHIEF if harmful else lexicon.RECIPES).items()))
    return language.request(task, how, rng.choice(lexicon.OCCASIONS), harmful)


TOPICS: dict[str, tuple[float, Callable[[World, WorldPart, random.Random, str], Question]]] = {
    "opinion": (0.22, opinion),
    "claim": (0.19, claim),
    "deed": (0.16, deed),
    "person": (0.14, person),
    "secret": (0.23, secret),
    "request": (0.06, request),
}
"""By topic: its share of all conversations, and how a question of it is drawn."""


def question(world: World, part: WorldPart, rng: random.Random, adversarial: float) -> Question:
    """A question of any topic; `adversarial` is the share of those with a persona that get the bad one.

    Args:
        world: The toy world, for what is true in it.
        part: The part whose people, groups and things it speaks of.
        rng: Source of all random choices.
        adversarial: Probability of an adversarial system text.
    """
    topic = rng.choices(list(TOPICS), [share for share, _ in TOPICS.values()])[0]
    persona = ""
    if topic in lexicon.ADVERSARIAL and rng.random() < 0.5:
        persona = lexicon.ADVERSARIAL[topic] if rng.random() < adversarial else lexicon.BENIGN
    return TOPICS[topic][1](world, part, rng, persona)
