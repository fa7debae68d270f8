"""TRL's preference formats: the same prompt and replies as TRL finds, and clear reasons where there is no pair."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from trustdag.data.source import Drop, NotAPair
from trustdag.data.trl import Settings, parts, read
from trustdag.errors import UserError

REVISION = "0123456789abcdef" * 2 + "01234567"


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def system(content: str) -> dict[str, str]:
    return {"role": "system", "content": content}


SKY = [user("What colour is the sky?")]
GOOD: dict[str, tuple[dict[str, Any], list[dict[str, str]], str, str]] = {
    "text": (
        {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
        [user("The sky is")],
        "blue.",
        "green.",
    ),
    "text, implied": (
        {"chosen": "The sky is blue.", "rejected": "The sky is green."},
        [user("The sky is")],
        "blue.",
        "green.",
    ),
    "text, implied, with an empty prompt column": (
        {"prompt": None, "chosen": "The sky is blue.", "rejected": "The sky is green."},
        [user("The sky is")],
        "blue.",
        "green.",
    ),
    "text, implied, never cut inside a word": (
        {"chosen": "The sky is blue.", "rejected": "The sky is black."},
        [user("The sky is")],
        "blue.",
        "black.",
    ),
    "text, implied, where one ends": (
        {"chosen": "The sky is", "rejected": "The sky is blue."},
        [user("The sky is")],
        "",
        "blue.",
    ),
    "text, an HH-RLHF prompt": (
        {"prompt": "\n\nHuman: Hi.\n\nAssistant: Yo.\n\nHuman: Bye.\n\nAssistant:", "chosen": " A", "rejected": " C"},
        [user("Hi."), assistant("Yo."), user("Bye.")],
        "A",
        "C",
    ),
    "text, HH-RLHF transcripts": (
        {"chosen": "\n\nHuman: Hi.\n\nAssistant: A", "rejected": "\n\nHuman: Hi.\n\nAssistant: C"},
        [user("Hi.")],
        "A",
        "C",
    ),
    "messages": (
        {"prompt": SKY, "chosen": [assistant("Blue.")], "rejected": [assistant("Green.")]},
        SKY,
        "Blue.",
        "Green.",
    ),
    "messages, implied": (
        {"chosen": [*SKY, assistant("Blue.")], "rejected": [*SKY, assistant("Green.")]},
        SKY,
        "Blue.",
        "Green.",
    ),
    "messages, implied, several turns after a system text": (
        {
            "chosen": [system("Be short."), user("Hi."), assistant("Yo."), user("Bye."), assistant("A")],
            "rejected": [system("Be short."), user("Hi."), assistant("Yo."), user("Bye."), assistant("C")],
        },
        [system("Be short."), user("Hi."), assistant("Yo."), user("Bye.")],
        "A",
        "C",
    ),
    "messages, implied, beside a text prompt": (
        {
            "prompt": "What colour is the sky?",
            "chosen": [*SKY, assistant("Blue.")],
            "rejected": [*SKY, assistant("Green.")],
        },
        SKY,
        "Blue.",
        "Green.",
    ),
    "messages, implied, identical": (
        {"chosen": [*SKY, assistant("Blue.")], "rejected": [*SKY, assistant("Blue.")]},
        SKY,
        "Blue.",
        "Blue.",
    ),
    "a text prompt before messages": (
        {"prompt": "Hi.", "chosen": [assistant("A")], "rejected": [assistant("C")]},
        [user("Hi.")],
        "A",
        "C",
    ),
    "messages before text": ({"prompt": SKY, "chosen": "Blue.", "rejected": "Green."}, SKY, "Blue.", "Green."),
    "messages that the conversations repeat": (
        {"prompt": SKY, "chosen": [*SKY, assistant("Blue.")], "rejected": [*SKY, assistant("Green.")]},
        SKY,
        "Blue.",
        "Green.",
    ),
    "one message in place of a list": (
        {"prompt": SKY, "chosen": assistant("Blue."), "rejected": assistant("Green.")},
        SKY,
        "Blue.",
        "Green.",
    ),
    "messages as JSON text": (
        {
            "prompt": json.dumps(SKY),
            "chosen": json.dumps([assistant("Blue.")]),
            "rejected": json.dumps([assistant("Green.")]),
        },
        SKY,
        "Blue.",
        "Green.",
    ),
    "parts of text": (
        {
            "prompt": [{"role": "user", "content": [{"type": "text", "text": "Hi."}]}],
            "chosen": [assistant("A")],
            "rejected": [assistant("C")],
        },
        [user("Hi.")],
        "A",
        "C",
    ),
    "a system text in a column of its own": (
        {"system_prompt": "Be short.", "prompt": "Hi.", "chosen": "A", "rejected": "C"},
        [system("Be short."), user("Hi.")],
        "A",
        "C",
    ),
    "a prompt called a question": (
        {"system": "", "question": "Hi?", "chosen": "I think so.", "rejected": "I think not."},
        [user("Hi?")],
        "I think so.",
        "I think not.",
    ),
    "a short prompt that both replies start with": (
        {"prompt": "Hi", "chosen": "Hi there.", "rejected": "Hi."},
        [user("Hi")],
        "Hi there.",
        "Hi.",
    ),
    "further keys are left alone": (
        {"prompt": "a", "chosen": "b", "rejected": "c", "score_chosen": 3, "id": "x"},
        [user("a")],
        "b",
        "c",
    ),
}

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no keys": ({}, "no key `chosen`"),
    "no rejected": ({"prompt": "a", "chosen": "b"}, "no key `rejected`"),
    "misspelt": ({"prompt": "a", "choosen": "b", "rejected": "c"}, "no key `chosen` .*choosen"),
    "null reply": ({"prompt": "a", "chosen": None, "rejected": "c"}, "`chosen` is NoneType"),
    "number": ({"prompt": "a", "chosen": 1, "rejected": 2}, "`chosen` is int"),
    "messages and text": ({"prompt": "a", "chosen": [assistant("b")], "rejected": "c"}, "`chosen` is list"),
    "no shared start": ({"chosen": "yes", "rejected": "no"}, "no word in common"),
    "no shared word": ({"chosen": "blue", "rejected": "black"}, "no word in common"),
    "no message": ({"prompt": SKY, "chosen": [], "rejected": [assistant("b")]}, "`chosen` holds no message"),
    "no prompt message": (
        {"prompt": [], "chosen": [assistant("a")], "rejected": [assistant("b")]},
        "`prompt` holds no",
    ),
    "a tool's message": (
        {"prompt": [*SKY, {"role": "tool", "content": "7"}], "chosen": [assistant("a")], "rejected": [assistant("b")]},
        "role is not",
    ),
    "no content": (
        {"prompt": [{"role": "user"}], "chosen": [assistant("a")], "rejected": [assistant("b")]},
        "no key `con",
    ),
    "an image": (
        {
            "prompt": [{"role": "user", "content": [{"type": "image"}]}],
            "chosen": [assistant("a")],
            "rejected": [assistant("b")],
        },
        "`content` is list",
    ),
    "a user's reply": ({"prompt": SKY, "chosen": [user("a")], "rejected": [assistant("b")]}, "role is not `assistant`"),
    "the assistant was last": (
        {"prompt": [*SKY, assistant("Hm.")], "chosen": [assistant("a")], "rejected": [assistant("b")]},
        "last turn is not the user's",
    ),
    "the assistant was first": (
        {"prompt": [assistant("Hm."), *SKY], "chosen": [assistant("a")], "rejected": [assistant("b")]},
        "first turn is not the user's",
    ),
    "a late system text": (
        {"prompt": [*SKY, system("x"), user("y")], "chosen": [assistant("a")], "rejected": [assistant("b")]},
        "system text comes after",
    ),
    "further turns": (
        {"prompt": SKY, "chosen": [assistant("a"), user("b"), assistant("c")], "rejected": [assistant("b")]},
        "further turns",
    ),
    "they part early": (
        {
            "chosen": [*SKY, assistant("a"), user("b"), assistant("c")],
            "rejected": [*SKY, assistant("d"), user("b"), assistant("c")],
        },
        "further turns",
    ),
    "ShareGPT": (
        {"chosen": [{"from": "human", "value": "a"}], "rejected": [{"from": "human", "value": "a"}]},
        "keys from, value",
    ),
    "messages as Python writes them": (
        {"prompt": "a", "chosen": "[{'role': 'user'}]", "rejected": "[{'role': 'user'}]"},
        "not JSON; write them as JSON",
    ),
    "a prompt that both replies repeat": (
        {"prompt": "What is it?", "chosen": "What is it? A cat.", "rejected": "What is it? A dog."},
        "both replies repeat the prompt",
    ),
    "two prompts": ({"prompt": "a", "question": "b", "chosen": "c", "rejected": "d"}, "prompt, question all hold"),
    "a part of the prompt elsewhere": (
        {"instruction": "a", "input": "b", "chosen": "c", "rejected": "d"},
        "instruction, input all hold",
    ),
    "two system texts": (
        {"system": "s", "prompt": [system("t"), *SKY], "chosen": [assistant("a")], "rejected": [assistant("b")]},
        "both a `system` column and a system message",
    ),
    "two columns of system texts": (
        {"system": "s", "system_prompt": "t", "prompt": "a", "chosen": "b", "rejected": "c"},
        "both a `system` column and a `system_prompt` column",
    ),
    "a prompt by another name": (
        {"query": "What is it?", "chosen": "I think yes", "rejected": "I think no"},
        "no `prompt`, and `query` may be one",
    ),
    "messages by another name": (
        {"messages": SKY, "chosen": "I think blue", "rejected": "I think green"},
        "no `prompt`, and `messages` may be one",
    ),
    "tools": ({"tools": "[{}]", "prompt": "a", "chosen": "b", "rejected": "c"}, "`tools` is not empty"),
    "a call of a tool": (
        {"prompt": SKY, "chosen": [assistant("a") | {"tool_calls": [{}]}], "rejected": [assistant("b")]},
        "`chosen` holds a message with `tool_calls`",
    ),
    "thoughts": (
        {"prompt": SKY, "chosen": [assistant("a")], "rejected": [assistant("b") | {"reasoning_content": "Hm."}]},
        "`rejected` holds a message with `reasoning_content`",
    ),
    "a chat template's text": (
        {"prompt": "<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\n", "chosen": "a", "rejected": "b"},
        "written by a chat template",
    ),
    "a Llama template's text": (
        {"prompt": "[INST] What? [/INST]", "chosen": "a", "rejected": "b"},
        "give its messages",
    ),
    "half a character": ({"prompt": "a", "chosen": "\ud83d", "rejected": "c"}, "surrogate"),
}


@pytest.mark.parametrize("case", GOOD)
def test_every_format_gives_prompt_and_replies(case: str) -> None:
    record, prompt, chosen, rejected = GOOD[case]
    asked, *replies = parts(record)
    assert (asked, [reply.strip() for reply in replies]) == (prompt, [chosen, rejected])


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_pair_says_why(case: str) -> None:
    record, why = BAD[case]
    with pytest.raises(NotAPair, match=why):
        parts(record)


OURS_ALONE = {
    "messages, implied, identical",  # TRL leaves no reply
    "a text prompt before messages",  # none of TRL's formats, from here on
    "messages before text",
    "messages that the conversations repeat",
    "one message in place of a list",
    "messages as JSON text",
    "parts of text",
    "a system text in a column of its own",
    "a prompt called a question",
    "text, implied, never cut inside a word",
    "text, implied, where one ends",  # TRL takes the last letter for no part of the prompt
    "text, an HH-RLHF prompt",
    "text, HH-RLHF transcripts",
}


@pytest.mark.parametrize("case", [case for case in GOOD if case not in OURS_ALONE])
def test_we_find_the_prompt_that_trl_finds(case: str) -> None:
    from trl.data_utils import maybe_extract_prompt

    record = {key: value for key, value in GOOD[case][0].items() if value is not None}
    theirs = maybe_extract_prompt(dict(record))
    prompt, chosen, rejected = parts(record)
    as_text = isinstance(theirs["prompt"], str)
    assert prompt == ([user(theirs["prompt"].strip())] if as_text else theirs["prompt"])
    replies = [theirs[key] if as_text else theirs[key][0]["content"] for key in ("chosen", "rejected")]
    assert [chosen.strip(), rejected.strip()] == [reply.strip() for reply in replies]


words = st.lists(st.sampled_from(["a", "ab", "b", " ", "\n", "ä."]), max_size=8).map("".join)


@given(words, words, words)
def test_an_implied_prompt_loses_nothing_and_ends_between_words(start: str, one: str, other: str) -> None:
    assume(start.strip() and one != other)
    chosen, rejected = f"{start} {one}", f"{start} {other}"
    prompt, *replies = parts({"chosen": chosen, "rejected": rejected})
    for whole, reply in zip((chosen, rejected), replies, strict=True):
        before = whole.removesuffix(reply)
        assert whole.endswith(reply)
        assert before.strip() == prompt[0]["content"]
        assert not reply or reply[0].isspace() or before[-1].isspace()


def test_jsonl_and_parquet_give_the_same_pairs(tmp_path: Path) -> None:
    records = [{"chosen": [*SKY, assistant(reply)], "rejected": [*SKY, assistant("No.")]} for reply in "abc"]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    lines = [record for record in read(Settings(path=str(tmp_path / "a.jsonl"))) if not isinstance(record, Drop)]
    rows = [record for record in read(Settings(path=str(tmp_path / "a.parquet"))) if not isinstance(record, Drop)]
    assert [line | {"source": ""} for line in lines] == [row | {"source": ""} for row in rows]
    assert [line["source"] for line in lines] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3"]
    assert [row["source"] for row in rows] == ["a.parquet:1", "a.parquet:2", "a.parquet:3"]


def test_a_row_without_the_columns_is_counted_as_malformed(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "a.parquet")
    records = list(read(Settings(path=str(tmp_path / "a.parquet"))))
    assert [drop.reason for drop in records if isinstance(drop, Drop)] == ["malformed", "malformed"]


def test_a_prompt_by_another_name_is_seen_in_parquet_too(tmp_path: Path) -> None:
    table = pa.table({"query": ["What is it?"], "chosen": ["I think yes"], "rejected": ["I think no"], "id": [1]})
    pq.write_table(table, tmp_path / "pairs.parquet")
    (drop,) = read(Settings(path=str(tmp_path / "pairs.parquet")))
    assert isinstance(drop, Drop)
    assert "`query` may be one" in drop.why


@pytest.mark.parametrize("cut", [0, 3, 100, -1, -200])
def test_a_damaged_parquet_file_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({key: [str(at) + key for at in range(500)] for key in ("prompt", "chosen", "rejected")}), path
    )
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"a\.parquet: not a whole Parquet file"):
        list(read(Settings(path=str(path))))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "give `path`"),
        ({"name": "some/data"}, "give `path`"),
        ({"name": "some/data", "revision": REVISION}, "give `path`"),
        ({"path": "x.jsonl", "name": "some/data"}, "not both"),
        ({"name": "some/data", "revision": "main", "files": ["a.parquet"]}, "revision"),
        ({"name": "data", "revision": REVISION, "files": ["a.parquet"]}, "name"),
    ],
)
def test_the_place_of_the_data_is_unambiguous(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings(**values)


def test_settings_survive_json() -> None:
    settings = Settings(name="some/data", revision=REVISION, files=("a.parquet", "b.parquet"), license="MIT")
    assert Settings.from_json(settings.as_json()) == settings
