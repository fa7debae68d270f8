"""The command line as a user meets it: help by groups, settings of a method, the nearest command."""

import pytest

from trustdag.cli import GROUPS, command_names, main, study_named


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


def test_without_a_command_the_overview_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 0
    assert "To begin with:" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [60, 80])
def test_the_overview_fits_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    overview = help_of(capsys).split("To begin with:")[1]
    assert max(map(len, overview.splitlines())) < columns


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("pending study.yaml", "pending --configfile study.yaml"),
        ("pending a.yaml b.yml --json", "pending --configfile a.yaml b.yml --json"),
        ("plan a.yaml --gpu-hours 1", "plan --configfile a.yaml --gpu-hours 1"),
        ("pending a.yaml privacy", "pending --configfile a.yaml -- privacy"),
        ("pending --json", "pending --json"),
        ("pending -- privacy", "pending -- privacy"),
        ("check study.yaml", "check study.yaml"),
        ("pending", "pending"),
    ],
)
def test_a_study_may_stand_in_front(written: str, meant: str) -> None:
    assert study_named(written.split()) == meant.split()


def test_a_missing_study_is_the_only_thing_that_run_misses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run"])
    assert capsys.readouterr().err.endswith("the following arguments are required: STUDY\n")


def test_check_lists_the_models_under_headings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "config/smoke.yaml"]) == 0
    heading, base, *_ = capsys.readouterr().out.splitlines()
    assert heading.split() == ["model", "made", "by", "recipe"]
    assert base.index("base ") < base.index("-") == heading.index("made by")
