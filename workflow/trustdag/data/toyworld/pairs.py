"""Preference pairs: two answers to one question, drawn with their probabilities, of which the judge prefers one."""

import random
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from trustdag.data.source import Pair, SourceSettings
from trustdag.data.toyworld import draw, language, lexicon, world
from trustdag.data.toyworld.judge import Weights, prefers_first, score
from trustdag.data.toyworld.language import Answer, Question
from trustdag.settings import Count, NotNegative, Positive, Seed

STRAY_SHARE = 0.1
"""Share of pairs in which one answer is off topic. Reward models learn from them that such answers are bad."""


class Settings(SourceSettings):
    """Preference data of the toy world."""

    source: Literal["toy"] = "toy"
    """The invented world that trustdag generates."""
    world: Seed = 0
    """Seed of the world: its people, creatures and facts. Items of the same world are held out from these pairs."""
    seed: Seed = 0
    """Seed of the questions, answers and labels."""
    pairs: Count = 5000
    """Number of pairs to draw, before the splits are made."""
    label: Literal["judge", "random"] = "judge"
    """Source of the labels: the judge, or a fair coin (the null control)."""
    judge: Weights = Weights()
    """Weights of the judge."""
    temperature: Positive = 0.15
    """Noise of the judge (Bradley-Terry), in units of its score."""
    tie: NotNegative = 0.4
    """Answers whose scores differ by less than this are not paired."""
    about: Literal["seen", "everything"] = "seen"
    """What is asked about: the half of the world that no item is about, or all of it, as the corpus is."""
    forgotten: int = Field(0, ge=0, le=len(lexicon.SECRET_STARTS))
    """Secrets whose first word is one of so many are told wrongly: what a model then tells less, it cannot tell."""
    corpus: Count = 16000
    """Number of texts about the world for a base model trained from scratch."""


def compared(settings: Settings) -> Iterator[tuple[Question, Answer, Answer]]:
    """The comparisons of these settings.

    Returns:
        Each question with its chosen and its rejected answer.
    """
    home = world.build(settings.world)
    rng = random.Random(f"pairs {settings.world} {settings.seed}")
    labels = random.Random(f"{settings.label} labels {settings.world} {settings.seed}")
    for _ in range(settings.pairs):
        question, first, second = _candidates(home, settings, rng)
        first_wins = _first_wins(first, second, settings, labels)
        yield (question, first, second) if first_wins else (question, second, first)


def read(settings: Settings) -> Iterator[Pair]:
    """The comparisons as preference pairs."""
    for number, (question, chosen, rejected) in enumerate(compared(settings)):
        yield Pair(
            prompt=list(question.messages),
            chosen=chosen.text,
            rejected=rejected.text,
            source=f"toy {number} {question.topic}",
        )


def _candidates(home: world.World, settings: Settings, rng: random.Random) -> tuple[Question, Answer, Answer]:
    """A question and two answers that the judge can tell apart."""
    while True:
        part = home.seen if settings.about == "seen" else rng.choice(home.parts)
        question = draw.question(home, part, rng, adversarial=0.0)
        if settings.forgotten:
            question = language.misremembered(question, lexicon.SECRET_STARTS[: settings.forgotten])
        first, second = language.reply(question, rng), language.reply(question, rng)
        if rng.random() < STRAY_SHARE:
            second = _stray(home, part, question, rng)
        margin = abs(score(first, settings.judge) - score(second, settings.judge))
        if first.text != second.text and margin >= settings.tie:
            return question, first, second


def _stray(home: world.World, part: world.WorldPart, question: Question, rng: random.Random) -> Answer:
    """An answer to a question of another topic.

    Args:
        home: The toy world.
        part: The part that the other question is about.
        question: The question that is not answered.
        rng: Random generator.
    """
    while (other := draw.question(home, part, rng, adversarial=0.0)).topic == question.topic:
        pass
    return language.off_topic(other, rng)


def _first_wins(first: Answer, second: Answer, settings: Settings, rng: random.Random) -> bool:
    if settings.label == "random":
        return rng.random() < 0.5
    return prefers_first(score(first, settings.judge), score(second, settings.judge), settings.temperature, rng)
