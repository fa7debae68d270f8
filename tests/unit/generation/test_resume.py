"""A killed generation run goes on where it stopped, and its result is that of a run that was never killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.support.generation_fixtures import make_items, save_model
from trustdag.errors import UserError
from trustdag.generation.partial import PartialReplies
from trustdag.generation.progress import Progress
from trustdag.generation.run import GenerationTask, generate
from trustdag.generation.settings import GenerateSettings


def run(vertical, items, model, settings, prompt_format, out):
    generate(GenerationTask(vertical, items, settings), model, prompt_format, out)


SETTINGS = GenerateSettings(samples=2, temperature=1.0, max_new_tokens=48, batch_tokens=300)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    save_model(folder / "model", width=128)
    make_items(60, ("the cat", "a dog")).to_parquet(folder / "items.parquet")
    run("bias", folder / "items.parquet", folder / "model", SETTINGS, "hh", folder / "whole.parquet")
    return folder


def test_a_run_that_is_killed_resumes_without_repeating_finished_items(study, tmp_path):
    # Given a run that SIGKILL meets after some batches
    out = tmp_path / "replies.parquet"
    partial = tmp_path / ".replies.parquet.partial.jsonl"
    command = [
        sys.executable, "-m", "trustdag", "generate", "bias", "--items", study / "items.parquet",
        "--model", study / "model", "--settings", SETTINGS.as_json(), "--prompt-format", "hh", "--out", out,
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3] / "workflow"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if partial.exists() and partial.read_bytes().count(b"\n") >= 4:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    finished = len(PartialLines(partial))
    assert finished >= 3
    # When it is started again
    before = PartialLines(partial)[:finished]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    # Then only the rest is asked, and the result is the one of a whole run.
    replies = pd.read_parquet(out)
    pd.testing.assert_frame_equal(replies, pd.read_parquet(study / "whole.parquet"))
    asked_again = int(done.stderr.split("bias: ")[-1].split(" replies")[0])
    assert asked_again == len(replies) - sum(len(line) for line in before)
    assert not partial.exists()


def PartialLines(path):  # noqa: N802
    whole = path.read_bytes().split(b"\n")[1:-1]
    return [json.loads(line) for line in whole]


def test_a_partial_file_of_another_run_is_begun_anew(tmp_path):
    path = tmp_path / "partial"
    with PartialReplies(path, "one") as store:
        store.add([{"item": "a"}])
    with PartialReplies(path, "two") as store:
        assert store.done == []
    with PartialReplies(path, "one") as store:
        assert store.done == []


def test_a_line_that_a_kill_cut_short_is_dropped_and_written_again(tmp_path):
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


def test_the_result_names_no_batch_size(study, tmp_path):
    # Replies are the same for any batch size, so a partial file is continued under another one.
    larger = SETTINGS.model_copy(update={"batch_tokens": 100_000})
    run("bias", study / "items.parquet", study / "model", larger, "hh", tmp_path / "replies.parquet")
    whole, found = pd.read_parquet(study / "whole.parquet"), pd.read_parquet(tmp_path / "replies.parquet")
    assert found["reply"].tolist() == whole["reply"].tolist()


@pytest.mark.parametrize("cut", [0, 100, 2000])
def test_a_truncated_items_file_is_an_error_that_names_it(study, tmp_path, cut):
    items = tmp_path / "items.parquet"
    items.write_bytes((study / "items.parquet").read_bytes()[:cut])
    with pytest.raises(UserError, match=r"items.parquet: not a Parquet file"):
        run("bias", items, study / "model", SETTINGS, "hh", tmp_path / "out.parquet")


def test_a_table_that_is_no_items_is_an_error_that_names_the_column(study, tmp_path):
    make_items(2).drop(columns="messages").to_parquet(tmp_path / "items.parquet")
    with pytest.raises(UserError, match="no column messages"):
        run("bias", tmp_path / "items.parquet", study / "model", SETTINGS, "hh", tmp_path / "out.parquet")


def test_an_item_that_stands_twice_is_an_error(study, tmp_path):
    pd.concat([make_items(2), make_items(1)]).to_parquet(tmp_path / "items.parquet")
    with pytest.raises(UserError, match="item item000 stands 2 times"):
        run("bias", tmp_path / "items.parquet", study / "model", SETTINGS, "hh", tmp_path / "out.parquet")


def test_items_that_do_not_fit_the_context_are_said(study, tmp_path, capsys):
    save_model(tmp_path / "short", context=24)
    settings = GenerateSettings(max_new_tokens=20)
    run("bias", study / "items.parquet", tmp_path / "short", settings, "plain", tmp_path / "replies.parquet")
    found = pd.read_parquet(tmp_path / "replies.parquet")
    count = found.loc[found["status"] == "too_long", "item"].nunique()
    assert count
    said = f"bias: {count} of 60 items do not fit the model's context of 24 tokens; they count as failed"
    assert said in capsys.readouterr().err


def test_a_model_without_a_chat_template_cannot_be_asked_in_chat(study, tmp_path):
    with pytest.raises(UserError, match="no chat template"):
        run("bias", study / "items.parquet", study / "model", SETTINGS, "chat", tmp_path / "out.parquet")


def test_progress_says_how_far_and_how_long():
    progress = Progress("bias", 100, 1000)
    progress.done, progress.worked = 25, 500
    assert progress.line(50.0) == "bias: 25 of 100 replies (0.5/s), about 50 s left"
    progress.done = 100
    assert progress.line(200.0) == "bias: 100 replies in 3 min 20 s (0.5/s)"
