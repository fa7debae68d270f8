"""The command line as a user meets it: help by groups, settings of a method, the nearest command."""

import pytest

from trustdag.cli import GROUPS, command_names, main


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `trustdag ARGUMENTS --help` prints."""
    with pytest.raises(SystemExit):
        main([*arguments, "--help"])
    return capsys.readouterr().out


def test_help_begins_with_what_a_user_needs_first(capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(capsys)
    places = [shown.index(f"\n  {name} ") for name in ("check", "summary", "align", "launch")]
    assert places == sorted(places)


def test_help_names_every_command_once(capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(capsys)
    assert all(shown.count(f"\n  {name} ") == 1 for name in command_names())


def test_groups_name_only_commands_that_exist() -> None:
    assert {name for names in GROUPS.values() for name in names} <= set(command_names())


def test_a_methods_help_lists_its_settings_with_description_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    shown = " ".join(help_of(capsys, "align", "dpo").split())
    assert "beta " in shown.split("keys of --settings:")[1]
    assert "(default 0.1)" in shown


def test_an_unknown_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chek"]) == 2
    assert "did you mean `trustdag check`?" in capsys.readouterr().err


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "config/smoke.yaml", "--data", "folder"])
    assert "--data" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "offered"), [("prepare", True), ("check", False), ("score", False)])
def test_only_commands_of_cached_rules_write_benchmarks(
    command: str, offered: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ("--benchmark" in help_of(capsys, command)) is offered
