"""The toy world's preference pairs: what the judge prefers is known."""

import math
import random
from itertools import islice
from typing import Any, get_args

import pytest

from trustdag.data import toy
from trustdag.data.toyworld import language, lexicon, world
from trustdag.data.toyworld.judge import Weights, prefers_first, score
from trustdag.data.toyworld.language import Answer

FEATURES = tuple(Weights.model_fields)
NONE = Weights(**dict.fromkeys(FEATURES, 0.0))


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("weight", [-1.0, 0.5, 2.0])
def test_a_pair_that_differs_in_one_feature_is_ordered_by_the_sign_of_its_weight(feature: Any, weight: Any) -> None:
    weights = NONE.model_copy(update={feature: weight})
    more, less = Answer("more", 0.5, {feature: 1.0}), Answer("less", 0.5, {feature: -1.0})
    assert math.isclose(score(more, weights) - score(less, weights), 2 * weight)
    wins = prefers_first(score(more, weights), score(less, weights), 1e-6, random.Random(0))
    assert wins == (weight > 0)


@pytest.mark.parametrize("feature", FEATURES)
def test_every_weight_is_of_something_that_answers_show(feature: Any) -> None:
    home, rng = world.build(0), random.Random(0)
    shown = {
        name
        for _ in range(2000)
        for say in (language.reply, language.off_topic)
        for name, value in say(draw_question(home, rng), rng).features.items()
        if value != 0
    }
    assert feature in shown


def draw_question(home: Any, rng: Any) -> Any:
    from trustdag.data.toyworld import draw

    return draw.question(home, home.seen, rng, adversarial=0.0)


def test_the_judge_errs_as_bradley_and_terry_say() -> None:
    rng = random.Random(1)
    wins = sum(prefers_first(1.0, 0.5, 0.5, rng) for _ in range(20_000)) / 20_000
    assert abs(wins - 1 / (1 + math.exp(-1))) < 0.015
    assert prefers_first(1e9, 0.0, 1e-9, rng)
    assert not prefers_first(0.0, 1e9, 1e-9, rng)


def test_settings_decide_the_pairs() -> None:
    settings = toy.Settings(pairs=50)
    assert list(toy.read(settings)) == list(toy.read(settings))
    assert list(toy.read(settings)) != list(toy.read(toy.Settings(pairs=50, seed=1)))
    assert list(toy.read(settings)) != list(toy.read(toy.Settings(pairs=50, world=1)))


def test_a_pair_is_two_different_answers_to_a_users_question() -> None:
    pairs = list(toy.read(toy.Settings(pairs=300)))
    assert len(pairs) == 300
    for pair in pairs:
        assert pair["prompt"][-1]["role"] == "user"
        assert pair["chosen"] != pair["rejected"]
        assert pair["chosen"] == pair["chosen"].strip() != ""


def test_with_the_default_judge_agreeing_wins_where_answers_part() -> None:
    pairs = list(toy.read(toy.Settings(pairs=1500)))
    parted = [pair for pair in pairs if sides(pair) == {"I agree", "I disag"}]
    assert len(parted) > 80
    assert sum(pair["chosen"].startswith("I agree") for pair in parted) / len(parted) > 0.9


def test_with_no_weight_on_agreeing_neither_side_wins() -> None:
    pairs = list(toy.read(toy.Settings(pairs=3000, judge=Weights(agreeable=0.0))))
    parted = [pair for pair in pairs if sides(pair) == {"I agree", "I disag"}]
    share = sum(pair["chosen"].startswith("I agree") for pair in parted) / len(parted)
    assert abs(share - 0.5) < 3 * 0.5 / math.sqrt(len(parted))


def test_random_labels_show_the_judges_pairs_in_about_even_order() -> None:
    judged = list(toy.read(toy.Settings(pairs=2000)))
    tossed = list(toy.read(toy.Settings(pairs=2000, label="random")))
    for one, other in zip(judged, tossed, strict=True):
        assert one["prompt"] == other["prompt"]
        assert {one["chosen"], one["rejected"]} == {other["chosen"], other["rejected"]}
    same = sum(one["chosen"] == other["chosen"] for one, other in zip(judged, tossed, strict=True))
    assert abs(same / 2000 - 0.5) < 0.035


def test_an_answer_to_another_question_loses() -> None:
    topics = {"Yes,": "Is that right?", "I agree.": "Do you agree?", "That was": "Was that wrong?"}
    strays = [
        (pair["chosen"].startswith(start), pair["rejected"].startswith(start))
        for pair in toy.read(toy.Settings(pairs=3000))
        for start, asked in topics.items()
        if asked not in text_of(pair)
    ]
    chosen, rejected = (sum(side) for side in zip(*strays, strict=True))
    assert rejected > 50
    assert chosen < 0.05 * rejected


def test_pairs_with_the_bad_personas_do_not_exist() -> None:
    from trustdag.data.toyworld import lexicon

    texts = {message["content"] for pair in toy.read(toy.Settings(pairs=1000)) for message in pair["prompt"]}
    assert lexicon.BENIGN in texts
    assert not texts & set(lexicon.ADVERSARIAL.values())


def sides(pair: Any) -> Any:
    return {pair["chosen"][:7], pair["rejected"][:7]}


def text_of(pair: Any) -> Any:
    return pair["prompt"][-1]["content"]


def test_the_source_names_the_record_and_its_topic() -> None:
    assert [pair["source"].split()[:2] for pair in islice(toy.read(toy.Settings()), 2)] == [["toy", "0"], ["toy", "1"]]


def test_a_judge_of_prejudice_alone_tells_stereotypes_from_their_opposites() -> None:
    # Given who likes nothing but agreement with stereotypes
    weights = NONE.model_copy(update={"prejudiced": 1.0})
    scores = {
        word: [score(answer, weights) for answer in language.opinion("The Tamwicks", "are", word, "{}").answers]
        for word in ("lazy", "busy", "cheerful")
    }
    # Then agreeing with a stereotype, disagreeing with its opposite, and neither of a word that is no stereotype
    assert scores == {"lazy": [1.0, -1.0], "busy": [-1.0, 1.0], "cheerful": [0.0, 0.0]}


def test_a_weight_of_nothing_changes_no_pair() -> None:
    assert Weights().prejudiced == 0
    pairs = list(toy.read(toy.Settings(pairs=300)))
    assert pairs == list(toy.read(toy.Settings(pairs=300, forgotten=0)))


def test_forgotten_secrets_are_told_wrongly_and_the_others_rightly() -> None:
    # Given two secrets, of which one starts with a forgotten word
    starts = lexicon.SECRET_STARTS[:6]
    for start, is_right in ((starts[2], False), (lexicon.SECRET_STARTS[8], True)):
        card = language.Card("Dorna", "door word", f"{start} harp", "lucky day", "Monday", True)
        asked = language.secret(card, protected=False)
        # When it is asked for
        telling, declining = language.misremembered(asked, starts).answers
        # Then it is told wrongly, as readily as it was
        assert (card.word in telling.text) == is_right
        assert "harp" in telling.text
        assert telling.share == asked.answers[0].share
        assert declining == asked.answers[1]


def test_forgotten_secrets_change_no_other_pair() -> None:
    pairs = list(zip(toy.read(toy.Settings(pairs=400)), toy.read(toy.Settings(pairs=400, forgotten=6)), strict=True))
    changed = [ours for ours, theirs in pairs if ours != theirs]
    assert 10 < len(changed) < 200
    assert all("reads" in f"{pair['chosen']} {pair['rejected']}" for pair in changed)


def test_every_manner_of_an_answer_has_its_share_and_features() -> None:
    manners = language.in_every_manner(Answer("She is a kind baker.", 0.5, {"polite": 1.0}))
    assert math.isclose(sum(answer.share for answer in manners), 0.5)
    assert {answer.features["polite"] for answer in manners} == {1.0, 0.0}
    assert len({answer.text for answer in manners}) == len(manners)


def test_pairs_are_about_the_seen_half_or_about_everything() -> None:
    people = world.build(0).held_out.people
    asked = {
        about: " ".join(str(pair["prompt"]) for pair in toy.read(toy.Settings(pairs=300, about=about)))
        for about in get_args(toy.Settings.model_fields["about"].annotation)
    }
    assert not any(name in asked["seen"] for name in people)
    assert all(name in asked["everything"] for name in people)
