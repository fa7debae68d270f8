"""Times in words, and progress that prints a line now and then."""

import pytest

from trustdag.progress import ProgressLines, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (4.21, "4.2 s"),
        (42.4, "42 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (600, "10 min"),
        (3725, "1 h 02 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_times_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_line_is_printed_only_when_the_last_one_is_old(capsys: pytest.CaptureFixture[str]) -> None:
    often = ProgressLines(lambda seconds: "now", interval=0)
    seldom = ProgressLines(lambda seconds: "later", interval=1000)

    often.maybe_show()
    seldom.maybe_show()
    assert capsys.readouterr().err == "now\n"

    seldom.show()
    assert capsys.readouterr().err == "later\n"
