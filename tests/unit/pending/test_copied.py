"""What Snakemake cannot know of results that were copied without its notes is said, and an edited study is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from trustdag.errors import UserError
from trustdag.layout import Results
from trustdag.pending import copied

STUDY: dict[str, Any] = {"name": "s", "stages": {"dpo": {"beta": 0.1, "log_every": 5}}}


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration in the results folder of a study in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = Path(Results.of("s").configuration)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(STUDY))
    return path


def edited(**dpo: Any) -> str:
    return json.dumps(STUDY | {"stages": {"dpo": STUDY["stages"]["dpo"] | dpo}})


def test_results_of_the_present_study_are_taken_and_what_is_not_known_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for present in (json.dumps(STUDY), edited(log_every=9)):  # how often a line is logged changes no result
        copied.say("s", present)
        assert "with the present configuration" in capsys.readouterr().err
        copied.refuse_edited("s", present)


def test_results_of_an_edited_study_are_refused_with_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    copied.say("s", edited(beta=0.3))
    assert "other values of stages.dpo.beta)" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"other values of stages\.dpo\.beta\)"):
        copied.refuse_edited("s", edited(beta=0.3))


def test_nothing_is_said_where_all_is_known_or_nothing_was_made(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied.mark_known("s")
    copied.say("s", edited(beta=0.3))
    copied.say("another", edited(beta=0.3))
    copied.refuse_edited("s", edited(beta=0.3))
    assert capsys.readouterr().err == ""


def test_a_damaged_configuration_is_not_taken_for_the_present_one(written: Path) -> None:
    written.write_text("{")
    with pytest.raises(UserError, match="the file is damaged"):
        copied.refuse_edited("s", json.dumps(STUDY))
