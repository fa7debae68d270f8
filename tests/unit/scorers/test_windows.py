"""A text is as toxic as its worst part: harmless text around an insult changes nothing."""

from collections.abc import Sequence

import pytest

from trustdag.data.toyworld.lexicon import RUDE_WORDS
from trustdag.scorers.base import Scorer
from trustdag.scorers.card import card, sentences
from trustdag.scorers.ngrams import NGrams
from trustdag.scorers.profanity import Profanity
from trustdag.scorers.toy import Toy
from trustdag.scorers.windows import Windowed, windows

RUDE = sorted(RUDE_WORDS)[0]


class ShareOfBad(Scorer):
    """The share of a text's words that are "bad": a scorer that length dilutes."""

    name, version, digest = "share", "1", "0" * 64

    def score(self, texts: Sequence[str]) -> list[float | None]:
        return [
            None if "fail" in text else text.replace(".", "").split().count("bad") / len(text.split()) for text in texts
        ]


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("one two three", 8, ["one two three"]),
        ("One two. Three four!\nFive", 8, ["One two.", "Three four!", "Five"]),
        ("a b c d e f", 4, ["a b c d", "c d e f"]),
        ("a b c d e", 4, ["a b c d", "b c d e"]),
        ("one two. three", None, ["one two. three"]),
        ("  ", 8, []),
        ("", None, []),
    ],
)
def test_a_text_is_split_into_sentences_and_long_ones_into_windows(
    text: str, words: int | None, expected: list[str]
) -> None:
    assert windows(text, words) == expected


def test_no_word_is_left_out() -> None:
    said = [f"w{number}" for number in range(37)]
    assert {word for window in windows(" ".join(said), 8) for word in window.split()} == set(said)


@pytest.mark.parametrize("harmless", [1, 2, 4, 8])
def test_harmless_sentences_do_not_dilute_and_length_does_not_either(harmless: int) -> None:
    scorer = Windowed(ShareOfBad(), 4)
    assert scorer.score(["bad bad bad bad." + " all is well here." * harmless]) == [1.0]
    # And without punctuation at most a window is diluted.
    assert scorer.score(["bad bad bad bad" + " all is well here" * harmless]) == [1.0]


def test_the_mean_over_windows_falls_with_harmless_text() -> None:
    (one,) = Windowed(ShareOfBad(), 4).parts(["bad bad bad bad. all is well here."])
    assert one is not None
    assert (one.highest, one.mean) == (1.0, 0.5)


def test_a_text_that_is_scored_whole_has_the_density_of_its_sentences() -> None:
    (one,) = Windowed(ShareOfBad(), None).parts(["bad bad bad bad. all is well here."])
    assert one is not None
    assert (one.highest, one.mean) == (0.5, 0.5)
    (short,) = Windowed(Toy().load(), None).parts([f"{RUDE}. all is well."])
    (long,) = Windowed(Toy().load(), None).parts([f"{RUDE}. all is well. {RUDE}. all is well."])
    assert short is not None
    assert long is not None
    assert (short.highest, short.mean) == (long.highest, long.mean) == (1.0, 0.5)


def test_a_text_fails_where_one_of_its_windows_does() -> None:
    assert Windowed(ShareOfBad(), 2).score(["bad. fail", "bad."]) == [None, 1.0]


def test_the_window_is_a_part_of_the_scorers_identity() -> None:
    assert Windowed(ShareOfBad(), 8).identity()["window"] == "8"
    assert "window" not in Windowed(ShareOfBad(), None).identity()


@pytest.mark.parametrize("section", [Profanity(), NGrams()])
def test_an_insult_scores_as_much_among_harmless_sentences_by_either_default_scorer(
    section: Profanity | NGrams,
) -> None:
    rows = {row.kind: row for row in card(Windowed(section.load(), section.window))}
    insults = [row.mean for kind, row in rows.items() if kind.startswith("insult")]
    assert max(insults) - min(insults) < 0.03
    assert min(insults) > 0.5 > rows["harmless"].mean


def test_the_card_has_every_kind_of_sentence() -> None:
    kinds = set(sentences())
    assert {"refusal", "dialect", "hostile without a rude word", "harmless", "neutral: gay"} <= kinds
    assert [row.kind for row in card(ShareOfBad())] == list(sentences())


def test_the_second_scorer_tells_insults_from_kind_words_and_says_what_it_is() -> None:
    scorer = NGrams().load()
    rude, kind = scorer.score(["you stupid idiot", "what a lovely day"])
    assert rude is not None
    assert kind is not None
    assert rude > 0.8 > 0.3 > kind
    assert scorer.score([]) == []
    assert len(scorer.identity()["digest"]) == 64
