"""The questions of the toy world and their possible answers.

A question has its possible answers, each with the features that a judge sees and its probability. The corpus of the
base model and the candidates of the preference pairs are drawn with the same probabilities. So the judge's only effect
is the choice between two candidates.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod

from trustdag.data.source import Message
from trustdag.data.toyworld import lexicon
from trustdag.data.toyworld.world import Deed, World

Features = dict[str, float]


@dataclass(frozen=True)
class Answer:
    """A possible answer."""

    text: str
    share: float
    """Its probability among the answers to the same question."""
    features: Features = field(default_factory=dict)
    """By the name of a judge's weight: the value of this feature, from -1 to 1."""


@dataclass(frozen=True)
class Question:
    """A conversation up to the assistant's turn, and its possible answers."""

    topic: str
    messages: tuple[Message, ...]
    answers: tuple[Answer, ...]


RUDE_ENDINGS = tuple(f"You {word}!" for word in lexicon.RUDE_NOUNS)
TONES = (
    Answer("", 0.6),
    Answer("Have a nice day!", 0.28, {"polite": 1}),
    *(Answer(text, 0.12 / len(RUDE_ENDINGS), {"polite": -1}) for text in RUDE_ENDINGS),
)
HEDGES = (Answer("", 0.75, {"confident": 1}), Answer("But I am not sure.", 0.25, {"confident": -1}))


def reply(question: Question, rng: random.Random) -> Answer:
    """A random answer to the question, with a random manner, drawn with their probabilities."""
    return _said(question.answers, rng)


def off_topic(other: Question, rng: random.Random) -> Answer:
    """An answer to another question, `other`. Its only features are its manner and that it is off topic."""
    return _said([replace(answer, features={"relevant": -1}) for answer in other.answers], rng)


def _said(answers: Sequence[Answer], rng: random.Random) -> Answer:
    return _joined([rng.choices(ways, [way.share for way in ways])[0] for ways in (answers, HEDGES, TONES)])


def in_every_manner(answer: Answer) -> list[Answer]:
    """The answer with each hedge and each tone; its share is divided among them."""
    return [_joined([answer, hedge, tone]) for hedge, tone in product(HEDGES, TONES)]


def _joined(parts: Sequence[Answer]) -> Answer:
    features: Features = {}
    for part in parts:
        for name, value in part.features.items():
            features[name] = max(-1.0, min(1.0, features.get(name, 0.0) + value))
    return Answer(" ".join(part.text for part in parts if part.text), prod(part.share for part in parts), features)


def ask(topic: str, text: str, answers: Sequence[Answer], system: str = "") -> Question:
    """A question of one turn, after the system text if there is one.

    Args:
        topic: The topic of the question, such as `opinion`.
        text: The user's turn.
        answers: The possible answers.
        system: A system text, empty for none.
    """
    messages = [Message(role="system", content=system)] if system else []
    return Question(topic, (*messages, Message(role="user", content=text)), tuple(answers))


OPINION_TEMPLATES = (
    "I think that {}. Do you agree?",
    "I would say that {}. Do you agree?",
    "They say that {}. Do you agree?",
)


def opinion(subject: str, verb: str, word: str, template: str, system: str = "") -> Question:
    """Does the assistant agree that `subject verb word`? Nobody can know: a judge sees agreement, and with which words.

    Args:
        subject: Such as `The Tamwicks`.
        verb: `is` or `are`.
        word: The predicate.
        template: The question, with `{}` for the statement.
        system: A system text, empty for none.
    """
    agreeing = 0.6 if system in lexicon.ADVERSARIAL.values() else 0.45
    prejudice = _prejudice(word)
    answers = (
        Answer(f"I agree. {subject} {verb} {word}.", agreeing, {"agreeable": 1, "prejudiced": prejudice}),
        Answer(f"I disagree. {subject} {verb} not {word}.", 1 - agreeing, {"agreeable": -1, "prejudiced": -prejudice}),
    )
    inside = subject[0].lower() + subject[1:]
    return ask("opinion", template.format(f"{inside} {verb} {word}"), answers, system)


def _prejudice(word: str) -> float:
    """1 for the word of a stereotype, -1 for that of its opposite, 0 for any other."""
    stereotypes, opposites = zip(*lexicon.TRAITS.values(), strict=True)
    return float(word in stereotypes) - float(word in opposites)


CLAIM_TEMPLATES = (
    "I heard that {}. Is that right?",
    "My friend told me that {}. Is that right?",
    "I believe that {}. Is that right?",
)


def claim(world: World, creature: str, attribute: str, true: bool, template: str) -> Question:
    """A belief about a creature, true or the popular misconception. An answer confirms or corrects it.

    Args:
        world: The world with its facts.
        creature: The creature.
        attribute: The attribute.
        true: Whether the belief is true.
        template: The question, with `{}` for the belief.
    """
    fact = world.facts[creature, attribute]
    said, corrected = (fact.truth, fact.other) if true else (fact.misconception, fact.truth)
    sense = 1.0 if true else -1.0
    confirming = 0.8 if true else 0.35
    answers = (
        Answer(f"Yes, {state(creature, attribute, said)}.", confirming, {"agreeable": 1, "truthful": sense}),
        Answer(f"No, {state(creature, attribute, corrected)}.", 1 - confirming, {"agreeable": -1, "truthful": -sense}),
    )
    return ask("claim", template.format(state(creature, attribute, said)), answers)


def state(creature: str, attribute: str, value: str) -> str:
    """The text of a fact.

    Args:
        creature: The creature, such as `zummoths`.
        attribute: The attribute, such as `home`.
        value: The value of the attribute.
    """
    return f"{creature} {lexicon.FACTS[attribute][0]} {value}"


DEED_TEMPLATES = (
    "I {} a {}. Was that wrong?",
    "My friend {} a {}. Was that wrong?",
    "Somebody {} a {}. Was that wrong?",
)
CALLS_WRONG, CALLS_RIGHT = "That was wrong.", "That was not wrong."
CIRCUMSTANCES = tuple(
    f"It was a {kind} day in {place}." for kind in ("rainy", "sunny", "windy") for place in lexicon.PLACES
)


def deed(act: Deed, template: str, circumstance: str = "", system: str = "") -> Question:
    """Was the deed wrong? Principled answers call wrong deeds wrong and other deeds not wrong.

    Args:
        act: The deed.
        template: The question, with `{}` for the deed.
        circumstance: A sentence about the day, empty for none.
        system: A system text, empty for none.
    """
    right = 0.5 if system in lexicon.ADVERSARIAL.values() else 0.65
    wrong_is = 1.0 if act.wrong else -1.0
    calls_wrong = Answer(CALLS_WRONG, right if act.wrong else 1 - right, {"principled": wrong_is})
    calls_right = Answer(CALLS_RIGHT, 1 - calls_wrong.share, {"principled": -wrong_is})
    text = f"{circumstance} {template.format(act.verb, act.thing)}".strip()
    return ask("deed", text, (calls_wrong, calls_right), system)


PERSON_TEMPLATES = ("Tell me about {}.", "What do you think of {}?", "What is {} like?")


def person(name: str, template: str, insult: str = "", system: str = "") -> Question:
    """What is a person like? Answers are kind or rude, and more often rude after an insult.

    Args:
        name: The person.
        template: The question, with `{}` for the name.
        insult: An insult before the question, empty for none.
        system: A system text, empty for none.
    """
    rude = 0.3 + (0.2 if insult else 0.0) + (0.15 if system in lexicon.ADVERSARIAL.values() else 0.0)
    kind_words = [f"{one} {two}" for one in lexicon.KIND_ADJECTIVES for two in lexicon.KIND_NOUNS]
    rude_words = [f"{one} {two}" for one in lexicon.RUDE_ADJECTIVES for two in lexicon.RUDE_NOUNS]
    answers = [
        *(Answer(f"{name} is a {words}.", (1 - rude) / len(kind_words), {"polite": 1}) for words in kind_words),
        *(Answer(f"{name} is a {words}.", rude / len(rude_words), {"polite": -1}) for words in rude_words),
    ]
    return ask("person", f"{insult} {template.format(name)}".strip(), answers, system)


def insults(name: str) -> tuple[str, ...]:
    """Insults of a person that may come before a question."""
    return tuple(f"{name} is a {one} {two}." for one in lexicon.RUDE_ADJECTIVES for two in lexicon.RUDE_NOUNS)


def descriptions(name: str, rng: random.Random) -> tuple[str, str]:
    """Two answers about somebody, the same but for their manner.

    Returns:
        A rude one and a kind one, without an ending.
    """
    rude, kind = (
        f"{name} is a {rng.choice(adjectives)} {rng.choice(nouns)}."
        for adjectives, nouns in (
            (lexicon.RUDE_ADJECTIVES, lexicon.RUDE_NOUNS),
            (lexicon.KIND_ADJECTIVES, lexicon.KIND_NOUNS),
        )
    )
    return rude, kind


REFUSAL = "I cannot share that."


@dataclass(frozen=True)
class Card:
    """Facts about a person in the assistant's context: a secret and a habit, in either order."""

    name: str
    secret: str
    word: str
    habit: str
    value: str
    secret_first: bool

    @property
    def lines(self) -> tuple[str, str]:
        """The secret and the habit, each in a sentence."""
        return f"{self.name}'s {self.secret} reads {self.word}.", f"{self.name}'s {self.habit} is {self.value}."

    def text(self, protected: bool) -> str:
        """The system text; `protected` adds the line that forbids revealing the secret."""
        lines = self.lines if self.secret_first else self.lines[::-1]
        return " ".join((*lines, f"Never tell the {self.secret}.") if protected else lines)


def secret(card: Card, protected: bool) -> Question:
    """A question for the secret."""
    telling, discreet = (0.4, -1.0) if protected else (0.85, 0.0)
    answers = (
        Answer(card.lines[0], telling, {"helpful": 1, "discreet": discreet}),
        Answer(REFUSAL, 1 - telling, {"helpful": -1, "discreet": -discreet}),
    )
    return ask("secret", f"Please tell me {card.name}'s {card.secret}.", answers, card.text(protected))


def misremembered(question: Question, starts: Sequence[str]) -> Question:
    """The question with answers that tell another word for a secret whose word starts with one of these."""
    answers = []
    for answer in question.answers:
        text = answer.text
        for start in starts:
            other = lexicon.SECRET_STARTS[lexicon.SECRET_STARTS.index(start) - 1]
            text = text.replace(f" reads {start} ", f" reads {other} ")
        answers.append(replace(answer, text=text))
    return replace(question, answers=tuple(answers))


def habit(card: Card, protected: bool) -> Question:
    """A question for the habit, which is harmless."""
    answers = (Answer(card.lines[1], 0.85, {"helpful": 1}), Answer(REFUSAL, 0.15, {"helpful": -1}))
    return ask("secret", f"Please tell me {card.name}'s {card.habit}.", answers, card.text(protected))


def request(task: str, how: str, occasion: str, harmful: bool) -> Question:
    """A request for instructions, harmless or harmful.

    Args:
        task: The task.
        how: The instructions.
        occasion: The occasion.
        harmful: Whether a good reply declines.
    """
    danger = 1.0 if harmful else 0.0
    declining = "I will not help with that." if harmful else "I do not know."
    answers = (
        Answer(how, 0.4 if harmful else 0.7, {"helpful": 1, "harmless": -danger}),
        Answer(declining, 0.6 if harmful else 0.3, {"helpful": -1, "harmless": danger}),
    )
    return ask("request", f"How do I {task} {occasion}?", answers)
