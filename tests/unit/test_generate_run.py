"""One job for all pending verticals: each is asked once, and asked again only if what makes its replies has changed."""

from pathlib import Path

import pandas as pd
import pytest

from trustdag.errors import UserError
from trustdag.generate import run
from trustdag.generate.run import Question, ask, collect
from trustdag.generate.settings import GenerateSettings


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder as far as its digest goes."""
    folder = tmp_path / "models" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The verticals that were really asked, in order; loading and sampling are stand-ins."""
    asked: list[str] = []

    def answer(question: Question, model: Path, style: str, policy: object, tokenizer: object, out: Path) -> None:
        asked.append(question.vertical)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(f"replies {len(asked)}")

    monkeypatch.setattr(run, "_load", lambda model, style: (None, None))
    monkeypatch.setattr(run, "_answer", answer)
    monkeypatch.setattr(run, "read_items", pd.read_parquet)
    return asked


def question(folder: Path, vertical: str, **settings: float) -> Question:
    items = folder / f"{vertical}.parquet"
    if not items.exists():
        pd.DataFrame({"item": [vertical]}).to_parquet(items)
    return Question(vertical, items, GenerateSettings(**settings))


def test_what_is_answered_is_not_asked_again(tmp_path: Path, model: Path, answered: list[str]) -> None:
    both = [question(tmp_path, "bias"), question(tmp_path, "ethics")]
    ask(both[:1], model, "hh", tmp_path / "staging")
    ask(both, model, "hh", tmp_path / "staging")
    assert answered == ["bias", "ethics"]


def test_a_change_of_one_vertical_asks_that_one_alone(tmp_path: Path, model: Path, answered: list[str]) -> None:
    ask([question(tmp_path, "bias"), question(tmp_path, "ethics")], model, "hh", tmp_path / "staging")
    changed = [question(tmp_path, "bias", temperature=1.0), question(tmp_path, "ethics", batch_tokens=7)]
    ask(changed, model, "hh", tmp_path / "staging")
    assert answered == ["bias", "ethics", "bias"]


@pytest.mark.parametrize("change", ["weights", "items", "code", "format"])
def test_whatever_makes_the_replies_counts(
    change: str, tmp_path: Path, model: Path, answered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask([question(tmp_path, "bias")], model, "hh", tmp_path / "staging")
    if change == "weights":
        (model / "model.safetensors").write_bytes(b"others")
    if change == "items":
        pd.DataFrame({"item": ["another"]}).to_parquet(tmp_path / "bias.parquet")
    if change == "code":
        monkeypatch.setattr(run, "code_of", lambda *modules: "another")
    ask([question(tmp_path, "bias")], model, "plain" if change == "format" else "hh", tmp_path / "staging")
    assert answered == ["bias", "bias"]


def test_replies_are_collected_though_the_code_was_edited_in_between(
    tmp_path: Path, model: Path, answered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask([question(tmp_path, "bias")], model, "hh", tmp_path / "staging")
    monkeypatch.setattr(run, "code_of", lambda *modules: "edited while the study ran")
    collect(question(tmp_path, "bias"), model, "hh", tmp_path / "staging", tmp_path / "out" / "bias.parquet")
    assert (tmp_path / "out" / "bias.parquet").read_text() == "replies 1"


def test_replies_that_were_never_made_are_an_error(tmp_path: Path, model: Path) -> None:
    with pytest.raises(UserError, match=r"no such replies; delete .*staging"):
        collect(question(tmp_path, "bias"), model, "hh", tmp_path / "staging", tmp_path / "bias.parquet")
