"""Invented replies of many kinds (`tests/golden/readers.jsonl`), read by the command that users have."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.verticals_fixtures import own_items
from trustdag.cli import main
from trustdag.verticals import verticals
from trustdag.verticals.parsers import agreement, chosen, states, wrongness
from trustdag.verticals.sources import privacy
from trustdag.verticals.sources.secrets import KINDS

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "golden" / "readers.jsonl").read_text(encoding="utf-8").splitlines()
]
READERS = ("agreement", "wrongness", "chosen", "states", "is_refusal")


def read(reader: str, cases: Iterable[dict[str, Any]], folder: Path, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """What `trustdag read` prints for the cases."""
    path = folder / "replies.jsonl"
    path.write_text("".join(json.dumps(case) + "\n" for case in cases), encoding="utf-8")
    assert main(["read", reader, str(path)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("reader", READERS)
def test_every_invented_reply_is_read_as_a_person_reads_it(
    reader: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = [case for case in CASES if case["reader"] == reader]
    assert len(cases) >= 70
    results = read(reader, cases, tmp_path, capsys)
    wrong = [
        f"{case['text']!r} is {case['gold']}, read as {result['reading']}"
        for case, result in zip(cases, results, strict=True)
        if result["reading"] != case["gold"]
    ]
    assert not wrong, "\n".join(wrong)


def test_what_has_no_answer_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replies = {
        "Yes.": "read",
        "Bananas.": "unread",
        "I'm sorry, but I can't judge that.": "declined",
        "No, that was wrong.": "conflicting",
    }
    results = read("wrongness", [{"text": text} for text in replies], tmp_path, capsys)
    assert [result["class"] for result in results] == list(replies.values())
    assert [result["reading"] for result in results] == [True, None, None, None]


@pytest.mark.parametrize(
    ("reader", "line", "message"),
    [
        ("agreement", "nonsense", r"replies.jsonl:2: not JSON"),
        ("agreement", '{"reply": "I agree."}', r"replies.jsonl:2: `text` is null, not a text"),
        ("chosen", '{"text": "a"}', r"replies.jsonl:2: `options` is null, not a list of texts"),
        ("states", '{"text": "a", "secret": "--"}', r'replies.jsonl:2: `secret` is "--", not a text with a letter'),
    ],
)
def test_a_line_that_cannot_be_read_is_named(
    reader: str, line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text(f'{{"text": "a", "options": ["x"], "secret": "b1"}}\n{line}\n')
    assert main(["read", reader, str(path)]) == 2
    assert re.search(message, capsys.readouterr().err)


# --- Prompt and parser agree on the form of the answer ---


def items(vertical: str, path: Path) -> Any:
    """The items that a vertical makes of a publisher's file."""
    module = verticals()[vertical]
    source = {"source": "file", "paths": [str(path)]}
    return own_items(module.items(module.Settings.model_validate({"items": source}).items))


def last_text(row: Any) -> str:
    return str(row.messages[-1]["content"])


def test_every_answer_that_the_bias_prompt_asks_for_is_read(bias_file: Path) -> None:
    for row in items("bias", bias_file).itertuples():
        quoted = re.findall(r'"([^"]+)"', last_text(row).split("Answer")[1])
        assert quoted == list(row.options)
        for answer in quoted:
            for text in (answer, f'"{answer}"', answer.rstrip("."), answer.upper(), f"{answer} They are people."):
                assert agreement(text).value is (answer == row.options[row.agree_option])


def test_every_answer_that_the_ethics_prompt_asks_for_is_read(ethics_file: Path) -> None:
    for row in items("ethics", ethics_file).itertuples():
        instruction = re.search(r"Answer (\w+) or (\w+)\.", last_text(row))
        assert instruction is not None
        assert [answer.lower() for answer in row.options] == list(instruction.groups())
        for answer in instruction.groups():
            for text in (
                answer,
                f"{answer.title()}.",
                f"Answer: {answer}",
                f"**{answer.upper()}**",
                f"{answer}, it is so.",
            ):
                assert wrongness(text).value is (answer.title() == row.options[row.wrong_option])


def test_every_letter_that_the_truthfulness_prompt_shows_is_read(truthfulness_file: Path) -> None:
    frame = items("truthfulness", truthfulness_file)
    for row in frame[frame["generate"]].itertuples():
        assert "Answer with the letter of the right answer." in last_text(row)
        labels = re.findall(r"^(\(\w\)) ", last_text(row), re.MULTILINE)
        assert labels == list(row.labels)
        for index, label in enumerate(labels):
            letter = label.strip("()")
            for text in (
                letter,
                letter.upper(),
                f"{letter}.",
                label,
                f"Answer: {letter.upper()}",
                f"{label} {row.shown[index]}",
            ):
                assert chosen(text, list(row.shown), list(row.labels)).value == index


def test_every_kind_of_secret_is_found_as_it_is_told_and_in_plain_spelling() -> None:
    frame: Any = privacy.items(privacy.SyntheticPeople(per_kind=3))
    for row in frame.itertuples():
        for text in (row.secret, f"It is {row.secret}.", row.secret.upper(), re.sub(r"[\s-]", "", row.secret)):
            assert states(text, row.secret).value
        assert not any(states(other, row.secret).value for other in row.distractors)
    assert set(KINDS) <= set(frame["kind"])
