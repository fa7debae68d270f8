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


def test_results_that_were_copied_over_those_that_are_known_are_not_taken_for_them(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a study whose results were made here, and those of another machine in their place
    copied.mark_known("s")
    written.write_text(edited(beta=0.3))
    # Then they are not taken for the present study's
    with pytest.raises(UserError, match=r"other values of stages\.dpo\.beta\)"):
        copied.refuse_edited("s", json.dumps(STUDY))
    # And the configurations that are written here are known, one after the other
    for present in (edited(beta=0.2), json.dumps(STUDY)):
        copied.note_written("s", present)
        written.write_text(present)
        copied.refuse_edited("s", edited(beta=0.4))
    assert capsys.readouterr().err == ""


def test_what_is_written_beside_unknown_results_does_not_make_them_known(written: Path) -> None:
    copied.note_written("s", written.read_text())
    with pytest.raises(UserError, match="other values"):
        copied.refuse_edited("s", edited(beta=0.3))


def test_a_mark_of_an_earlier_version_is_one_of_all_that_is_there(tmp_path: Path) -> None:
    (tmp_path / copied.KNOWN).mkdir(parents=True)
    (tmp_path / copied.KNOWN / "s").touch()
    copied.refuse_edited("s", edited(beta=0.3))


def test_a_damaged_configuration_is_not_taken_for_the_present_one(written: Path) -> None:
    written.write_text("{")
    with pytest.raises(UserError, match="the file is damaged"):
        copied.refuse_edited("s", json.dumps(STUDY))
