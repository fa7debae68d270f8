"""Times in words, and progress that prints a line now and then."""

import sys
import threading

import pytest

from trustdag.progress import Progress, ProgressLines, counted, duration, log_line


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


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress("dpo train", 10, 40, "steps"), "dpo train: 10 of 40 steps"),
        (
            Progress("dpo train", 10, 40, "steps", "loss 0.5, grad_norm 1e-05", "3 min 20 s"),
            "dpo train: 10 of 40 steps, loss 0.5, grad_norm 1e-05, about 3 min 20 s left",
        ),
        (Progress("bias", 100, 100, "replies", "0.5/s"), "bias: 100 of 100 replies, 0.5/s"),
        (Progress("bias", 1, 100, "replies", left="1 h 02 min"), "bias: 1 of 100 replies, about 1 h 02 min left"),
    ],
)
def test_a_line_of_progress_is_read_back_as_it_was_written(progress: Progress, line: str) -> None:
    assert str(progress) == line
    assert Progress.parse(line) == progress


@pytest.mark.parametrize(
    "line", ["", "Loading weights: 100%|##| 28/28", "bias: some of 40 replies", "written to x: 1,2 train"]
)
def test_any_other_line_is_no_progress(line: str) -> None:
    assert Progress.parse(line) is None


def test_a_number_agrees_with_its_noun() -> None:
    assert [counted(number, "model") for number in (0, 1, 2)] == ["0 models", "1 model", "2 models"]


def test_lines_of_several_threads_do_not_mix(capfd: pytest.CaptureFixture[str]) -> None:
    def write(character: str) -> None:
        for _ in range(1000):
            log_line(character * 40)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=write, args=[character]) for character in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)

    assert sorted(capfd.readouterr().err.splitlines()) == ["a" * 40] * 1000 + ["b" * 40] * 1000
