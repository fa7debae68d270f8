"""A killed generation run continues, and its result equals that of an uninterrupted run."""

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.forks import FORKS
from tests.support.generation_fixtures import make_items, save_model
from trustdag.errors import UserError
from trustdag.generation.partial import PartialReplies
from trustdag.generation.progress import ReplyProgress
from trustdag.generation.run import GenerationTask, generate
from trustdag.generation.settings import GenerateSettings
from trustdag.models.dialogue import PromptFormat


def run(
    vertical: str, items: Path, model: Path, settings: GenerateSettings, prompt_format: PromptFormat, out: Path
) -> None:
    """Generates the replies of one vertical."""
    generate(GenerationTask(vertical, items, settings), model, prompt_format, out)


SETTINGS = GenerateSettings(samples=2, temperature=1.0, max_new_tokens=48, batch_tokens=300)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    save_model(folder / "model", width=128)
    make_items(60, ("the cat", "a dog")).to_parquet(folder / "items.parquet")
    run("bias", folder / "items.parquet", folder / "model", SETTINGS, "hh", folder / "whole.parquet")
    return folder


def test_a_run_that_is_killed_resumes_without_repeating_finished_items(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a run that SIGKILL meets after some batches
    out = tmp_path / "replies.parquet"
    partial = tmp_path / ".replies.parquet.partial.jsonl"
    items, model = study / "items.parquet", study / "model"
    process = FORKS.Process(target=run, args=("bias", items, model, SETTINGS, "hh", out))
    process.start()
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.is_alive():
        if partial.exists() and partial.read_bytes().count(b"\n") >= 4:
            break
        time.sleep(0.005)
    process.kill()
    process.join()
    assert not out.exists()
    finished = finished_batches(partial)
    assert len(finished) >= 3
    # When it is started again
    run("bias", items, model, SETTINGS, "hh", out)
    # Then only the rest is generated, and the result is the one of a whole run.
    replies = pd.read_parquet(out)
    pd.testing.assert_frame_equal(replies, pd.read_parquet(study / "whole.parquet"))
    generated_again = int(capsys.readouterr().err.split("bias: ")[-1].split(" of ")[0])
    assert generated_again == len(replies) - sum(len(line) for line in finished)
    assert not partial.exists()


def finished_batches(path: Path) -> list[list[dict[str, Any]]]:
    """The replies of each complete line of a partial file."""
    return [json.loads(line.partition(b" ")[2]) for line in path.read_bytes().split(b"\n")[1:-1]]


def test_a_partial_file_of_another_run_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "partial"
    with PartialReplies(path, "one") as store:
        store.add([{"item": "a"}])
    with PartialReplies(path, "two") as store:
        assert store.done == []
    with PartialReplies(path, "one") as store:
        assert store.done == []


def test_a_line_that_a_kill_cut_short_is_dropped_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "partial"
    with PartialReplies(path, "key") as store:
        store.add([{"item": "a"}])
        store.add([{"item": "b"}, {"item": "c"}])
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:cut])
        with PartialReplies(path, "key") as store:
            assert [reply["item"] for reply in store.done] in ([], ["a"], ["a", "b", "c"])
            store.add([{"item": "d"}])
        with PartialReplies(path, "key") as store:
            assert store.done[-1] == {"item": "d"}


@pytest.mark.parametrize("junk", [b"junk\n", b"\0\0\0\n", b"3\n", b"[]\n", b"\xff\xfe\n", b'{"key": "other"}\n'])
@pytest.mark.parametrize("line", [0, 1, 2, 3])
def test_damaged_lines_are_dropped_wherever_they_are_and_the_rest_is_kept(
    line: int, junk: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a header and two batches
    path = tmp_path / "partial"
    with PartialReplies(path, "key") as store:
        store.add([{"item": "a"}])
        store.add([{"item": "b"}])
    lines = path.read_bytes().splitlines(keepends=True)
    # When a line of junk comes between them, or after them
    path.write_bytes(b"".join([*lines[:line], junk, *lines[line:]]))
    # Then every batch is kept, and the sentence says how much was not
    with PartialReplies(path, "key") as store:
        assert [reply["item"] for reply in store.done] == ["a", "b"]
        store.add([{"item": "c"}])
    with PartialReplies(path, "key") as store:
        assert [reply["item"] for reply in store.done] == ["a", "b", "c"]
    assert "partial: 1 damaged lines; their replies are generated again" in capsys.readouterr().err


def test_zeros_that_a_power_cut_left_at_the_end_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "partial"
    with PartialReplies(path, "key") as store:
        store.add([{"item": "a"}])
    path.write_bytes(path.read_bytes() + b"\0" * 9)
    with PartialReplies(path, "key") as store:
        assert [reply["item"] for reply in store.done] == ["a"]


def test_a_reply_that_was_altered_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "partial"
    with PartialReplies(path, "key") as store:
        store.add([{"item": "a", "reply": "yes"}])
        store.add([{"item": "b", "reply": "no"}])
    path.write_bytes(path.read_bytes().replace(b'"yes"', b'"yet"'))
    with PartialReplies(path, "key") as store:
        assert [reply["item"] for reply in store.done] == ["b"]


def test_the_result_names_no_batch_size(study: Path, tmp_path: Path) -> None:
    # Replies are the same for any batch size, so a partial file is continued under another one.
    larger = SETTINGS.model_copy(update={"batch_tokens": 100_000})
    run("bias", study / "items.parquet", study / "model", larger, "hh", tmp_path / "replies.parquet")
    whole, replies = pd.read_parquet(study / "whole.parquet"), pd.read_parquet(tmp_path / "replies.parquet")
    assert replies["reply"].tolist() == whole["reply"].tolist()


@pytest.mark.parametrize("cut", [0, 100, 2000])
def test_a_truncated_items_file_is_an_error_that_names_it(study: Path, tmp_path: Path, cut: int) -> None:
    items = tmp_path / "items.parquet"
    items.write_bytes((study / "items.parquet").read_bytes()[:cut])
    with pytest.raises(UserError, match=r"items.parquet: not a Parquet file"):
        run("bias", items, study / "model", SETTINGS, "hh", tmp_path / "out.parquet")


def test_a_table_that_is_no_items_is_an_error_that_names_the_column(study: Path, tmp_path: Path) -> None:
    make_items(2).drop(columns="messages").to_parquet(tmp_path / "items.parquet")
    with pytest.raises(UserError, match="no column messages"):
        run("bias", tmp_path / "items.parquet", study / "model", SETTINGS, "hh", tmp_path / "out.parquet")


def test_an_item_that_occurs_twice_is_an_error(study: Path, tmp_path: Path) -> None:
    pd.concat([make_items(2), make_items(1)]).to_parquet(tmp_path / "items.parquet")
    with pytest.raises(UserError, match="item item000 occurs 2 times"):
        run("bias", tmp_path / "items.parquet", study / "model", SETTINGS, "hh", tmp_path / "out.parquet")


def test_items_that_do_not_fit_the_context_are_said(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "short", context=24)
    settings = GenerateSettings(max_new_tokens=20)
    run("bias", study / "items.parquet", tmp_path / "short", settings, "plain", tmp_path / "replies.parquet")
    replies = pd.read_parquet(tmp_path / "replies.parquet")
    count = replies.loc[replies["status"] == "too_long", "item"].nunique()
    assert count
    said = f"bias: {count} of 60 items do not fit the context of {tmp_path / 'short'}, which is 24 tokens; they count"
    assert said in capsys.readouterr().err


def test_a_vertical_of_which_nothing_fits_the_context_is_refused(study: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "short", context=9)
    items = pd.read_parquet(study / "items.parquet")
    long = items[[len(messages[-1]["content"]) > 30 for messages in items["messages"]]]
    assert len(long) > 1
    long.to_parquet(tmp_path / "items.parquet")
    refusal = f"none of its {len(long)} items fits the context of .*short, which is 9 tokens"
    with pytest.raises(UserError, match=refusal):
        run(
            "bias", tmp_path / "items.parquet", tmp_path / "short", GenerateSettings(max_new_tokens=8), "plain",
            tmp_path / "replies.parquet",
        )  # fmt: skip


def test_a_model_without_a_chat_template_cannot_be_asked_in_chat(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no chat template"):
        run("bias", study / "items.parquet", study / "model", SETTINGS, "chat", tmp_path / "out.parquet")


def test_progress_says_how_far_and_how_long() -> None:
    progress = ReplyProgress("bias", 100, 1000)
    progress.done, progress.worked = 25, 500
    assert str(progress.after(50.0)) == "bias: 25 of 100 replies, 0.5/s, about 50 s left"
    progress.done = 100
    assert str(progress.after(200.0)) == "bias: 100 of 100 replies, 0.5/s"
