"""`trustdag run` finds studies, `trustdag new` writes files, and both say what they did not find or write."""

from pathlib import Path

import pytest

from trustdag.cli import main
from trustdag.commands.run import study_file
from trustdag.fingerprint import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)


def test_a_study_is_a_file_or_a_shipped_one() -> None:
    assert study_file("demo") == ROOT / "config" / "demo.yaml"
    Path("demo").write_text("")
    assert study_file("demo") == Path("demo")


@pytest.mark.parametrize(("name", "near"), [("smoky", "smoke"), ("my-studdy.yaml", "my-study.yaml")])
def test_the_nearest_study_is_named(name: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my-study.yaml").write_text("")
    assert main(["run", name]) == 2
    assert f"did you mean `{near}`?" in capsys.readouterr().err


def test_a_template_of_snakemakes_is_not_started(capsys: pytest.CaptureFixture[str]) -> None:
    Path("theirs.yaml").write_text("__use_yte__: true\n")
    assert main(["run", "theirs.yaml", "-n"]) == 2
    assert "a template may run any code" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vertical", "bias"], "bias: trustdag has a part of this kind and name"),
        (["preferences", "subset"], "trustdag has a part of this kind and name"),
        (["vertical", "My-part"], "a part's name has small letters, digits and _ alone"),
        (["scorer", "mine"], "mine.py: exists"),
    ],
)
def test_a_part_of_a_bad_or_taken_name_is_not_written(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.py").write_text("")
    assert main(["new", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(Path().iterdir()) == [Path("mine.py")]


def test_the_nearest_kind_option_and_method_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, near in (
        (["new", "scroer", "x"], "scorer"),
        (["check", "x.yaml", "--dataroot", "y"], "--data-root"),
        (["align", "dop"], "dpo"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert f"did you mean `{near}`?" in capsys.readouterr().err
