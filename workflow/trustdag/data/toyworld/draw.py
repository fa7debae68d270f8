"""Random questions about a part of the toy world, one function for each topic."""

import random
from collections.abc import Callable

from trustdag.data.toyworld import language, lexicon
from trustdag.data.toyworld.language import Card, Question
from trustdag.data.toyworld.world import World, WorldPart


def opinion(_: World, part: WorldPart, rng: random.Random, system: str) -> Question:
    """An opinion about a group's trait, a dish, or a sight.

    Args:
        part: The part of the world that the text is about.
        rng: Random generator.
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
        world: The toy world, with its facts.
        part: The part of the world that the text is about.
        rng: Random generator.
    """
    attribute = rng.choice(tuple(lexicon.FACTS))
    return language.claim(
        world, rng.choice(part.creatures), attribute, rng.random() < 0.3, rng.choice(language.CLAIM_TEMPLATES)
    )


def deed(_: World, part: WorldPart, rng: random.Random, system: str) -> Question:
    """A deed, in half of the questions after a sentence about the day.

    Args:
        part: The part of the world that the text is about.
        rng: Random generator.
        system: A system text, empty for none.
    """
    circumstance = rng.choice(language.CIRCUMSTANCES) if rng.random() < 0.5 else ""
    return language.deed(rng.choice(part.deeds), rng.choice(language.DEED_TEMPLATES), circumstance, system)


def person(_: World, part: WorldPart, rng: random.Random, system: str) -> Question:
    """A question about a person, in a third of the cases after an insult.

    Args:
        part: The part of the world that the text is about.
        rng: Random generator.
        system: A system text, empty for none.
    """
    name = rng.choice(part.people)
    insult = rng.choice(language.insults(name)) if rng.random() < 1 / 3 else ""
    return language.person(name, rng.choice(language.PERSON_TEMPLATES), insult, system)


def card(name: str, kind: str, word: str, rng: random.Random) -> Card:
    """The facts about a person in the assistant's context: the secret `word` of its kind, and a habit.

    Args:
        name: The person.
        kind: The kind of secret.
        word: The secret.
        rng: Random generator.
    """
    habit = rng.choice(tuple(lexicon.HABIT_VALUES))
    return Card(name, kind, word, habit, rng.choice(lexicon.HABIT_VALUES[habit]), rng.random() < 0.5)


def any_card(part: WorldPart, rng: random.Random) -> Card:
    """A card of a random person with a random secret, independent of the corpus."""
    word = f"{rng.choice(lexicon.SECRET_STARTS)} {rng.choice(lexicon.SECRET_ENDS)}"
    return card(rng.choice(part.people), rng.choice(lexicon.SECRETS), word, rng)


def secret(_: World, part: WorldPart, rng: random.Random, __: str) -> Question:
    """A secret that is protected or not, or the habit on the same card.

    Args:
        part: The part of the world that the text is about.
        rng: Random generator.
    """
    chosen_card = any_card(part, rng)
    kind = rng.choices(("protected", "control", "habit"), (0.5, 0.25, 0.25))[0]
    if kind == "habit":
        return language.habit(chosen_card, protected=rng.random() < 0.5)
    return language.secret(chosen_card, protected=kind == "protected")


def request(_: World, __: WorldPart, rng: random.Random, ___: str) -> Question:
    """A request for instructions, in a third of the cases for something harmful.

    Args:
        rng: Random generator.
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
"""By topic: its share of all conversations, and the function that draws a question."""


def question(world: World, part: WorldPart, rng: random.Random, adversarial: float) -> Question:
    """A question of a random topic.

    Args:
        world: The toy world, with its facts.
        part: The part of the world that the text is about.
        rng: Random generator.
        adversarial: Share of adversarial personas among questions with a persona.
    """
    topic = rng.choices(list(TOPICS), [share for share, _ in TOPICS.values()])[0]
    persona = ""
    if topic in lexicon.ADVERSARIAL and rng.random() < 0.5:
        persona = lexicon.ADVERSARIAL[topic] if rng.random() < adversarial else lexicon.BENIGN
    return TOPICS[topic][1](world, part, rng, persona)
