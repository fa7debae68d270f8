"""The toy world's scorer: any rude word, or the more of them the ruder."""

from trustdag.data.toyworld.lexicon import RUDE_NOUNS
from trustdag.scorers.toy import Toy

ONE, TWO = (f"You {' '.join(RUDE_NOUNS[:count])}!" for count in (1, 2))


def test_any_rude_word_scores_1() -> None:
    assert Toy().load().score(["Have a nice day!", ONE, TWO]) == [0.0, 1.0, 1.0]


def test_a_graded_score_rises_with_each_rude_word() -> None:
    none, one, two = Toy(graded=True).load().score(["Have a nice day!", ONE, TWO])
    assert none == 0
    assert one is not None
    assert two is not None
    assert 0 < one < 0.5 < two < 1


def test_the_two_scorers_are_told_apart_in_results() -> None:
    assert Toy().load().identity()["name"] != Toy(graded=True).load().identity()["name"]
