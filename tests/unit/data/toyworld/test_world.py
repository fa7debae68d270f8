"""The toy world: it depends on its seed, has two disjoint halves, and has rude words only where intended."""

from itertools import islice
from typing import Any

import pytest

from trustdag.data import toy
from trustdag.data.toyworld import lexicon, world
from trustdag.data.toyworld.judge import Weights

NAMED = ("people", "groups", "creatures", "deeds")


def test_a_seed_decides_the_world() -> None:
    assert world.build(3) == world.build(3)
    assert world.build(3) != world.build(4)


@pytest.mark.parametrize("kind", NAMED)
def test_the_halves_share_nothing_and_are_of_one_size(kind: Any) -> None:
    home = world.build(0)
    seen, held_out = (getattr(part, kind) for part in home.parts)
    assert not set(seen) & set(held_out)
    assert len(seen) == len(held_out) >= 12
    assert len(set(seen)) == len(seen)


def test_every_word_of_a_held_out_deed_is_known_from_the_seen_half() -> None:
    home = world.build(0)
    for part in ("verb", "thing"):
        assert {getattr(deed, part) for deed in home.held_out.deeds} <= {
            getattr(deed, part) for deed in home.seen.deeds
        }


def test_truth_misconception_and_the_third_value_differ() -> None:
    for fact in world.build(0).facts.values():
        assert len({fact.truth, fact.misconception, fact.other}) == 3


def test_right_and_wrong_deeds_are_about_as_many_in_both_halves() -> None:
    for part in world.build(0).parts:
        assert 0.4 < sum(deed.wrong for deed in part.deeds) / len(part.deeds) < 0.6


def test_no_word_is_rude_by_accident() -> None:
    pleasant = [
        *lexicon.KIND_ADJECTIVES,
        *lexicon.KIND_NOUNS,
        *lexicon.OBJECTS,
        *lexicon.SECRET_STARTS,
        *lexicon.SECRET_ENDS,
        *(name.lower() for part in world.build(0).parts for name in (*part.people, *part.groups, *part.creatures)),
    ]
    assert not [word for word in pleasant if any(rude in word for rude in lexicon.RUDE_WORDS)]


def test_the_corpus_depends_on_the_world_and_on_no_judge() -> None:
    settings = toy.Settings(corpus=200)
    other_judge = settings.model_copy(update={"judge": Weights(agreeable=-1), "seed": 9, "label": "random"})
    assert list(toy.corpus(settings)) == list(toy.corpus(other_judge))
    assert list(toy.corpus(settings)) != list(toy.corpus(toy.Settings(corpus=200, world=1)))


def test_the_corpus_is_as_long_as_asked_and_speaks_of_both_halves() -> None:
    texts = list(toy.corpus(toy.Settings(corpus=3000)))
    assert len(texts) == 3000
    for part in world.build(0).parts:
        for name in (*part.people, *part.groups, *part.creatures):
            assert any(name.lower() in text.lower() for text in texts), name


@pytest.mark.parametrize(
    ("one", "other"), [("I agree.", "I disagree."), ("That was wrong.", "That was not wrong."), ("Yes,", "No,")]
)
def test_the_corpus_holds_both_answers_to_every_question_in_like_shares(one: Any, other: Any) -> None:
    answers = [text.split("Assistant: ")[1] for text in toy.corpus(toy.Settings(corpus=6000)) if "Assistant: " in text]
    first, second = (sum(answer.startswith(start) for answer in answers) for start in (one, other))
    assert 0.35 < first / (first + second) < 0.65


def test_most_of_the_corpus_is_polite() -> None:
    texts = list(islice(toy.corpus(toy.Settings()), 3000))
    rude = sum(any(word in text for word in lexicon.RUDE_WORDS) for text in texts)
    assert 0.05 < rude / len(texts) < 0.25
