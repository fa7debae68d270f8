"""Preparation: what is dropped is counted, splits share no conversation, and earlier results survive every failure."""

import errno
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustdag.artifacts import sha256_file
from trustdag.cli import main
from trustdag.data import hh, prepare, sources
from trustdag.data.card import RecordCounts
from trustdag.data.source import Message, Pair
from trustdag.data.tables import pairs_schema
from trustdag.errors import UserError

FILES = ("card.json", "corpus.parquet", "test.parquet", "train.parquet", "validation.parquet")


def transcript(*turns: str) -> str:
    """Turns in the order user, assistant, user, ..."""
    return "".join(f"\n\n{('Human', 'Assistant')[at % 2]}: {turn}" for at, turn in enumerate(turns))


def line(*prompt: str, chosen: str = "Yes.", rejected: str = "No.") -> str:
    record = {"chosen": transcript(*prompt, chosen), "rejected": transcript(*prompt, rejected)}
    return json.dumps(record, ensure_ascii=False) + "\n"


def a_file(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def settings_for(path: Path, **values: Any) -> hh.Settings:
    return hh.Settings(**({"path": str(path), "test": 0.2, "validation": 0.2} | values))


def rows(folder: Path, split: str) -> list[dict[str, Any]]:
    return pq.read_table(folder / f"{split}.parquet").to_pylist()


PLENTY = tuple(line(f"Question {at}?", chosen=f"Yes, {at}.", rejected=f"No, {at}.") for at in range(60))


def test_what_cannot_be_trained_on_is_dropped_and_counted_with_its_line(tmp_path: Path) -> None:
    # Given a file with one record of each kind of fault
    path = a_file(
        tmp_path,
        *PLENTY,
        line("Empty?", chosen=""),
        line("White space?", rejected=" \n "),
        line("", chosen="To nothing."),
        line("Same?", chosen="Yes.", rejected=" Yes. "),
        line("Long? " * 20),
        line("Reply?", chosen="Long. " * 20),
        line("Turns?", chosen="Yes.\n\nHuman: Really?\n\nAssistant: Yes."),
        PLENTY[3],
        "broken\n",
    )
    # When it is prepared
    card = prepare.prepare(
        settings_for(path, max_prompt_characters=80, max_reply_characters=80, max_malformed=0.05), tmp_path
    )
    # Then each is counted under its reason, with the line that it stands on
    counts = {
        reason: [drop["source"] for drop in entry["first"]] for reason, entry in card["records"]["dropped"].items()
    }
    assert counts == {
        "malformed": ["pairs.jsonl:69"],
        "further_turns": ["pairs.jsonl:67"],
        "empty": ["pairs.jsonl:61", "pairs.jsonl:62", "pairs.jsonl:63"],
        "identical": ["pairs.jsonl:64"],
        "over_length": ["pairs.jsonl:65", "pairs.jsonl:66"],
        "duplicate": ["pairs.jsonl:68"],
    }
    assert (card["records"]["read"], card["records"]["kept"]) == (69, 60)
    assert sum(card["splits"][split]["pairs"] for split in prepare.SPLITS) == 60


def test_the_files_hold_the_canonical_columns(tmp_path: Path) -> None:
    path = a_file(tmp_path, *PLENTY, line("Hi.", "Yo.", "“Bye” 🏾"))
    card = prepare.prepare(settings_for(path, validation=0, test=0), tmp_path / "out")
    last = rows(tmp_path / "out", "train")[-1]
    roles = [("user", "Hi."), ("assistant", "Yo."), ("user", "“Bye” 🏾")]
    prompt = [{"role": role, "content": content} for role, content in roles]
    assert last == {
        "prompt_id": last["prompt_id"],
        "prompt": prompt,
        "chosen": "Yes.",
        "rejected": "No.",
        "source": "pairs.jsonl:61",
    }
    assert re.fullmatch("[0-9a-f]{16}", last["prompt_id"])
    for split in prepare.SPLITS:
        assert pq.read_schema(tmp_path / "out" / f"{split}.parquet").equals(pairs_schema())
    assert card["splits"]["validation"] == card["splits"]["test"] == {"pairs": 0, "prompts": 0}
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted((*FILES, "digest.txt"))


def test_the_corpus_is_one_transcript_of_each_training_pair_and_favours_neither_reply(tmp_path: Path) -> None:
    lines = [line(f"Question {at}?") for at in range(400)]
    card = prepare.prepare(settings_for(a_file(tmp_path, *lines)), tmp_path)
    texts = [row["text"] for row in rows(tmp_path, "corpus")]
    prompts = [row["prompt"][0]["content"] for row in rows(tmp_path, "train")]
    chosen = [transcript(prompt, "Yes.") for prompt in prompts]
    rejected = [transcript(prompt, "No.") for prompt in prompts]
    assert all(text in pair for text, pair in zip(texts, zip(chosen, rejected, strict=True), strict=True))
    assert 0.4 < sum(text.endswith("Yes.") for text in texts) / len(texts) < 0.6
    assert card["corpus"] == {"texts": len(texts), "characters": sum(map(len, texts))}


def test_the_toy_world_brings_its_own_corpus_and_pairs(tmp_path: Path) -> None:
    settings = sources()["toy"].Settings(pairs=200, corpus=50)
    card = prepare.prepare(settings, tmp_path)
    assert card["records"]["read"] == 200
    assert card["corpus"]["texts"] == len(rows(tmp_path, "corpus")) == 50
    assert all(row["prompt"][-1]["role"] == "user" for row in rows(tmp_path, "train"))


def test_the_card_describes_the_files(tmp_path: Path) -> None:
    path = a_file(
        tmp_path, line("One", chosen="aaaa", rejected="b"), line("One", "two", "three", chosen="c", rejected="dd")
    )
    settings = settings_for(path, validation=0, test=0, license="MIT")
    card = prepare.prepare(settings, tmp_path / "out")
    assert card == json.loads((tmp_path / "out" / "card.json").read_text())
    assert hh.Settings.model_validate(card["settings"]) == settings
    assert card["files"] == [{"name": "pairs.jsonl", "bytes": path.stat().st_size, "sha256": sha256_file(path)}]
    assert card["sha256"] == {name: sha256_file(tmp_path / "out" / name) for name in FILES if name != "card.json"}
    train = card["splits"]["train"]
    assert (train["pairs"], train["prompts"], train["user_turns"]) == (2, 2, {"1": 1, "2": 1})
    assert train["chosen_longer"] == 0.5
    assert train["characters"]["prompt"]["min"] == 3
    assert train["characters"]["prompt"]["max"] == 3 + 3 + 5
    assert train["characters"]["chosen"]["mean"] == 2.5


def test_the_limit_counts_what_is_kept(tmp_path: Path) -> None:
    path = a_file(tmp_path, line("Same?", rejected="Yes."), *PLENTY)
    card = prepare.prepare(settings_for(path, limit=40), tmp_path)
    assert (card["records"]["read"], card["records"]["kept"]) == (41, 40)


def test_the_same_input_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    digests = []
    for home in ("here", "there"):
        (tmp_path / home).mkdir()
        prepare.prepare(settings_for(a_file(tmp_path / home, *PLENTY)), tmp_path / home)
        digests.append([sha256_file(tmp_path / home / name) for name in FILES if name.endswith("parquet")])
    assert digests[0] == digests[1]


def conversation(*turns: str) -> list[Message]:
    return [Message(role=("user", "assistant")[at % 2], content=turn) for at, turn in enumerate(turns)]


prompts = st.lists(st.text(max_size=5), min_size=1, max_size=5).filter(lambda turns: len(turns) % 2 == 1)
HALVES = hh.Settings(validation=0.3, test=0.3)


@given(prompts, st.lists(st.text(max_size=5), max_size=4).filter(lambda turns: len(turns) % 2 == 0))
def test_a_prompt_and_what_continues_it_are_in_one_split(turns: list[str], more: list[str]) -> None:
    split = prepare.split_of(conversation(*turns), HALVES)
    assert split == prepare.split_of(conversation(*turns, *more), HALVES)
    assert split == prepare.split_of([Message(role="system", content="x"), *conversation(*turns)], HALVES)


@given(st.lists(prompts, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_kept_pairs_depend_on_no_order_and_share_no_prompt_between_splits(drawn: list[list[str]], rng: Any) -> None:
    pairs = [
        Pair(prompt=conversation(*turns), chosen="a", rejected="b", source=str(at)) for at, turns in enumerate(drawn)
    ]
    by_split: list[dict[str, set[str]]] = []
    for _ in range(2):
        counts = RecordCounts()
        prompts_of: dict[str, set[str]] = {split: set() for split in prepare.SPLITS}
        for pair in prepare.kept(pairs, HALVES, counts, lambda: None):
            prompts_of[prepare.split_of(pair["prompt"], HALVES)].add(prepare.prompt_id(pair["prompt"]))
        assert counts.kept == sum(map(len, prompts_of.values())) == counts.read - counts.counts.total()
        by_split.append(prompts_of)
        rng.shuffle(pairs)
    assert by_split[0] == by_split[1]
    assert not by_split[0]["train"] & (by_split[0]["test"] | by_split[0]["validation"])
    assert not by_split[0]["validation"] & by_split[0]["test"]


def test_splits_have_the_shares_that_were_asked_for_and_follow_the_seed() -> None:
    asked = [conversation(f"Question {at}?") for at in range(4000)]
    first = [prepare.split_of(prompt, HALVES) for prompt in asked]
    other = [prepare.split_of(prompt, HALVES.model_copy(update={"split_seed": 1})) for prompt in asked]
    for splits in (first, other):
        assert [round(splits.count(split) / len(asked), 1) for split in prepare.SPLITS] == [0.4, 0.3, 0.3]
    assert sum(one == two for one, two in zip(first, other, strict=True)) < 0.5 * len(asked)


@given(prompts, prompts)
def test_equal_ids_mean_equal_prompts(one: list[str], other: list[str]) -> None:
    ids = [prepare.prompt_id(conversation(*turns)) for turns in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)


FAULTS: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "an empty file": ([], {}, r"pairs\.jsonl: no pair is left to train on: 0 records read"),
    "blank lines alone": (["\n", "\n"], {}, "no pair is left"),
    "all dropped": (
        [line("Same?", rejected="Yes.")] * 3,
        {},
        r"no pair is left .*3 records read, 0 kept; dropped: 3 identical",
    ),
    "all too long": (list(PLENTY), {"max_reply_characters": 3}, "60 over_length"),
    "another format": (
        ['{"prompt": "a", "chosen": "b", "rejected": "c"}\n'] * 5,
        {},
        r"pairs\.jsonl:1: no `\\n\\nAssistant:` turn .*5 malformed among 5 records.*`max_malformed` \(now 0\.01\)",
    ),
    "too many malformed lines": (["x\n", *PLENTY], {}, r"pairs\.jsonl:1: not JSON: .*1 malformed among 61 records"),
    "a split without a pair": ([PLENTY[0]], {}, "no pair falls into the (train|validation) split"),
    "a line that is cut off": ([*PLENTY, PLENTY[0][:30]], {}, r"pairs\.jsonl:61: the file ends within this line"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_after_an_error_earlier_results_stand_and_nothing_is_left_over(tmp_path: Path, case: str) -> None:
    # Given results of an earlier run
    lines, values, message = FAULTS[case]
    out = tmp_path / "out"
    prepare.prepare(settings_for(a_file(tmp_path, *PLENTY)), out)
    before = {file.name: sha256_file(file) for file in out.iterdir()}
    # When the next run fails
    with pytest.raises(UserError, match=message):
        prepare.prepare(settings_for(a_file(tmp_path, *lines), **values), out)
    # Then they are as they were
    assert {file.name: sha256_file(file) for file in out.iterdir()} == before


@pytest.mark.parametrize("name", ["write_table", "close"])
def test_a_full_disk_leaves_earlier_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    out = tmp_path / "out"
    prepare.prepare(settings_for(a_file(tmp_path, *PLENTY)), out)
    before = {file.name: sha256_file(file) for file in out.iterdir()}

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pq.ParquetWriter, name, full)
    with pytest.raises(OSError, match="No space left on device"):
        prepare.prepare(settings_for(a_file(tmp_path, *PLENTY[:50])), out)
    assert {file.name: sha256_file(file) for file in out.iterdir()} == before


def test_the_real_writer_meets_a_full_disk(tmp_path: Path) -> None:
    # Given results, and a limit on the size of files, which the kernel enforces as it does a quota
    lines = [line(f"Question {os.urandom(500).hex()}?") for _ in range(300)]
    out, path = tmp_path / "out", a_file(tmp_path, *lines)
    prepare.prepare(settings_for(path), out)
    before = {file.name: sha256_file(file) for file in out.iterdir()}
    # When the command runs again
    command = [
        sys.executable,
        "-m",
        "trustdag",
        "prepare",
        "--settings",
        settings_for(path).as_json(),
        "--out",
        str(out),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
        env=os.environ | {"PYTHONPATH": str(Path(prepare.__file__).parents[2])},
    )
    # Then it says so in a line, and nothing is lost or left over
    assert done.returncode == 2
    assert re.fullmatch(
        r"trustdag: no room is left on the disk \(.*File too large.*; make room and run again.*\n", done.stderr
    )
    assert {file.name: sha256_file(file) for file in out.iterdir()} == before


def test_the_command_says_what_it_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_for(a_file(tmp_path, *PLENTY, line("Same?", rejected="Yes."))).as_json()
    assert main(["prepare", "--settings", settings, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    assert "61 records read, 60 kept; dropped: 1 identical" in said
    assert re.search(r"written to .*out: \d+ train, \d+ validation, \d+ test", said)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{}", "source: Field required"),
        ('{"source": "hub"}', "no source `hub`; choose one of hh, toy, trl"),
        ('{"source": "hh", "pth": "x"}', "pth: unknown key"),
        ('{"source": "hh", "path": "gone.jsonl"}', r"gone\.jsonl: no such file or folder"),
        ('{"source": "hh", "limit": "many"}', "limit: .*many"),
        ("gone.yaml", r"gone\.yaml: No such file"),
    ],
)
def test_the_command_names_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: str, message: str
) -> None:
    assert main(["prepare", "--settings", settings, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert said.count("\n") <= 2


def test_every_example_of_the_documentation_is_read(tmp_path: Path) -> None:
    documentation = (Path(prepare.__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```json\n(.*?)```", documentation, re.DOTALL)
    assert len(blocks) == 2
    for source, block in zip(("hh", "trl"), blocks, strict=True):
        path = a_file(tmp_path, block)
        module = sources()[source]
        pairs = list(module.read(module.Settings(path=str(path))))
        assert len(pairs) == block.count("\n") >= 1
        assert all(isinstance(pair, dict) for pair in pairs)
