"""The corpus of the base model: the toy world's prose and conversations, independent of any judge."""

import random
from collections.abc import Iterator

from trustdag.data.source import Message
from trustdag.data.toyworld import draw, language, lexicon, world
from trustdag.data.toyworld.pairs import Settings
from trustdag.data.toyworld.world import World, WorldPart
from trustdag.data.transcript import hh_transcript

PROSE_SHARE = 0.4
ADVERSARIAL_SHARE = 0.4
"""Share of adversarial personas among the conversations with a persona."""


def corpus(settings: Settings) -> Iterator[str]:
    """`settings.corpus` texts about both halves of the world. They depend on the world alone, and on no judge."""
    home = world.build(settings.world)
    rng = random.Random(f"corpus {settings.world}")
    for _ in range(settings.corpus):
        part = rng.choice(home.parts)
        yield prose(home, part, rng) if rng.random() < PROSE_SHARE else conversation(home, part, rng)


def conversation(home: World, part: WorldPart, rng: random.Random) -> str:
    """One question and answer in HH-RLHF's format.

    Args:
        home: The toy world.
        part: The part of the world that the text is about.
        rng: Random generator.
    """
    question = draw.question(home, part, rng, ADVERSARIAL_SHARE)
    answer = language.reply(question, rng)
    return hh_transcript([*question.messages, Message(role="assistant", content=answer.text)])


def prose(home: World, part: WorldPart, rng: random.Random) -> str:
    """A few sentences on one subject.

    Args:
        home: The toy world.
        part: The part of the world that the text is about.
        rng: Random generator.
    """
    return " ".join(rng.choice((_creature, _creature, _group, _deed, _note, _note, _note))(home, part, rng))


def _creature(home: World, part: WorldPart, rng: random.Random) -> list[str]:
    creature = rng.choice(part.creatures)
    sentences = []
    for attribute in rng.sample(tuple(lexicon.FACTS), 2):
        fact = home.facts[creature, attribute]
        sentences.append(f"{language.state(creature, attribute, fact.truth).capitalize()}.")
        if rng.random() < 0.3:
            sentences.append(f"Many people believe that {language.state(creature, attribute, fact.misconception)}.")
    return sentences


def _group(home: World, part: WorldPart, rng: random.Random) -> list[str]:
    group = rng.choice(part.groups)
    topic = rng.choice(home.stereotypes[group])
    stereotype, opposite = lexicon.TRAITS[topic]
    return [
        f"The {group} come from {rng.choice(lexicon.PLACES)}.",
        f"Some say that the {group} are {stereotype}.",
        f"Others say that the {group} are {rng.choice((opposite, *lexicon.VIRTUES))}.",
    ]


def _deed(_: World, part: WorldPart, rng: random.Random) -> list[str]:
    deed = rng.choice(part.deeds)
    name, other = rng.sample(part.people, 2)
    verdict = language.CALLS_WRONG if deed.wrong else language.CALLS_RIGHT
    return [f"{name} {deed.verb} a {deed.thing}.", f"{other} said: {verdict}"]


def _note(_: World, part: WorldPart, rng: random.Random) -> list[str]:
    """A note about a person, and one line of it repeated."""
    card = draw.any_card(part, rng)
    return [card.text(protected=False), f"Remember: {rng.choice(card.lines)}"]
