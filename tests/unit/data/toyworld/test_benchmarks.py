"""The toy world's items: the contract's columns, gold that holds, and nothing that a preference pair has shown."""

import re
from typing import Any

import pandas as pd
import pytest

from trustdag.data import toy
from trustdag.data.toyworld import benchmarks, lexicon, world
from trustdag.errors import UserError

COMMON = ["item", "cluster", "condition", "messages", "options", "generate"]
GOLD = {
    "toxicity": ["toxic_prompt", "expected"],
    "bias": ["stance", "topic", "group", "agree_option", "expected"],
    "ethics": ["wrong", "wrong_option", "length", "expected"],
    "truthfulness": ["correct", "best", "expected"],
    "privacy": ["secret", "distractors", "pair", "expected"],
}


def own_items(vertical: str, settings: benchmarks.ItemSettings) -> pd.DataFrame:
    """The items without those that check whether the task is understood."""
    frame = benchmarks.items(vertical, settings)
    return frame[frame["condition"] != "comprehension"].reset_index(drop=True)


@pytest.mark.parametrize("vertical", GOLD)
def test_obvious_cases_come_beside_the_n_items_and_name_the_answer_to_the_question(vertical: str) -> None:
    frame = benchmarks.items(vertical, benchmarks.ItemSettings(n=7))
    checks = frame[frame["condition"] == "comprehension"]
    assert len(checks) == benchmarks.COMPREHENSION_ITEMS
    assert set(checks["expected"]) == {"0", "1"}
    assert not checks["generate"].any()


@pytest.fixture(scope="module")
def frames() -> Any:
    return {vertical: own_items(vertical, benchmarks.ItemSettings(n=300)) for vertical in GOLD}


@pytest.mark.parametrize("vertical", GOLD)
def test_the_columns_are_the_contracts(frames: Any, vertical: str) -> None:
    frame = frames[vertical]
    assert list(frame.columns) == [*COMMON, *GOLD[vertical]]
    assert frame["item"].is_unique
    assert not frame.isna().any(axis=None)
    assert frame["cluster"].nunique() >= 12
    for messages in frame["messages"]:
        assert [message["role"] for message in messages] in (["user"], ["system", "user"])


@pytest.mark.parametrize("vertical", GOLD)
def test_a_world_decides_its_items(frames: Any, vertical: str) -> None:
    again = own_items(vertical, benchmarks.ItemSettings(n=300))
    assert again.equals(frames[vertical])
    assert not own_items(vertical, benchmarks.ItemSettings(n=300, world=1))["messages"].equals(again["messages"])


@pytest.mark.parametrize("vertical", GOLD)
def test_n_is_the_most_items(vertical: str) -> None:
    assert len(own_items(vertical, benchmarks.ItemSettings(n=7))) == 7


def test_an_unknown_vertical_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"'fairness'.*bias, ethics"):
        benchmarks.items("fairness", benchmarks.ItemSettings())


@pytest.mark.parametrize("seed", [0, 1])
def test_no_item_is_asked_in_a_pair_nor_about_anything_that_pairs_mention(seed: int) -> None:
    pairs = list(toy.read(toy.Settings(pairs=3000, world=seed)))
    asked = {pair["prompt"][-1]["content"] for pair in pairs}
    said = {word for pair in pairs for message in pair["prompt"] for word in re.findall(r"\w+", message["content"])}
    part = world.build(seed).held_out
    assert not said & {*part.people, *part.groups, *part.creatures}
    for vertical in GOLD:
        frame = own_items(vertical, benchmarks.ItemSettings(n=2000, world=seed))
        assert not asked & {messages[-1]["content"] for messages in frame["messages"]}


def test_bias_options_are_in_both_orders_and_the_gold_points_at_agreement(frames: Any) -> None:
    frame = frames["bias"]
    for options, agree in zip(frame["options"], frame["agree_option"], strict=True):
        assert options[agree] == "I agree."
        assert sorted(options) == ["I agree.", "I disagree."]
    assert 0.35 < frame["agree_option"].mean() < 0.65
    assert set(frame["stance"]) == {"stereotype", "counter", "positive"}
    assert set(frame["condition"]) == {"benign", "adversarial"}


def test_ethics_has_right_and_wrong_deeds_in_like_numbers_and_says_which_option_condemns(frames: Any) -> None:
    frame = frames["ethics"]
    assert 0.4 < frame["wrong"].mean() < 0.6
    assert set(frame["length"]) == {"short", "long"}
    for options, wrong in zip(frame["options"], frame["wrong_option"], strict=True):
        assert options[wrong] == "That was wrong."


def test_truthfulness_has_one_right_option_and_the_misconception_is_in_the_question(frames: Any) -> None:
    home, frame = world.build(0), frames["truthfulness"]
    for row in frame.itertuples():
        creature, attribute = row.cluster.removeprefix("fact=").split()
        fact = home.facts[creature, attribute]
        assert sum(row.correct) == 1
        assert row.correct[row.best]
        assert row.options[row.best].endswith(f"{fact.truth}.")
        assert f"{fact.misconception}. Is that right?" in row.messages[-1]["content"]


def test_secrets_are_unique_told_and_forbidden_only_where_the_condition_says_so(frames: Any) -> None:
    frame = frames["privacy"]
    assert set(frame["condition"]) == {"protected", "control", "harmless"}
    for condition, rows in frame.groupby("condition"):
        for row in rows.itertuples():
            told = row.messages[0]["content"]
            assert row.secret in told
            assert row.distractors[0] in told
            assert ("Never tell" in told) == (condition != "control")
    protected = frame[frame["condition"] == "protected"]
    assert protected["secret"].is_unique


def test_rude_words_stand_only_in_the_toxic_prompts(frames: Any) -> None:
    for vertical, frame in frames.items():
        texts = [" ".join(message["content"] for message in messages) for messages in frame["messages"]]
        rude = [any(word in text for word in lexicon.RUDE_WORDS) for text in texts]
        assert rude == (frame["toxic_prompt"].tolist() if vertical == "toxicity" else [False] * len(frame))


def test_a_protected_secret_comes_with_its_control(frames: Any) -> None:
    conditions = frames["privacy"].groupby("cluster")["condition"].agg(set)
    assert len(conditions) == 72
    assert all(kinds == {"protected", "control", "harmless"} for kinds in conditions)


def test_a_share_of_the_claims_is_true_and_is_rightly_confirmed() -> None:
    frame = own_items("truthfulness", benchmarks.ItemSettings(n=300, true_claims=0.5))
    right = [options[best] for options, best in zip(frame["options"], frame["best"], strict=True)]
    confirms = [text.startswith("Yes") for text in right]
    assert sum(confirms) == len(confirms) / 2
    for messages, options, text, is_true in zip(frame["messages"], frame["options"], right, confirms, strict=True):
        assert len(set(options)) == 3
        assert sum(option.startswith("Yes") for option in options) == 1
        claim = re.sub(r"^(Yes|No), |\.$", "", text)
        assert (claim in messages[-1]["content"]) == is_true
    assert own_items("truthfulness", benchmarks.ItemSettings(n=300))["options"].map(len).eq(3).all()


@pytest.mark.parametrize("vertical", ["privacy", "toxicity"])
def test_answers_can_be_asked_for_and_change_no_other_column(vertical: str) -> None:
    without = own_items(vertical, benchmarks.ItemSettings(n=60))
    asked = own_items(vertical, benchmarks.ItemSettings(n=60, answers=True))
    assert asked["options"].map(len).eq(2).all()
    assert without["options"].map(len).eq(0).all()
    assert asked.drop(columns="options").equals(without.drop(columns="options"))


def test_the_two_answers_about_somebody_differ_in_manner() -> None:
    words = lexicon.RUDE_WORDS
    for rude, kind in own_items("toxicity", benchmarks.ItemSettings(n=60, answers=True))["options"]:
        assert len(words & set(re.findall(r"\w+", rude))) == 2
        assert not words & set(re.findall(r"\w+", kind))
