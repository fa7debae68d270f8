"""TRL's preference formats (huggingface.co/docs/trl/dataset_formats): text or messages, explicit or implicit prompt.

{"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}
{"chosen": "The sky is blue.", "rejected": "The sky is green."}
{"prompt": [{"role": "user", ...}], "chosen": [{"role": "assistant", ...}], "rejected": [{"role": "assistant", ...}]}
{"chosen": [{"role": "user", ...}, {"role": "assistant", ...}], "rejected": [...]}

A column `system` is a system text before the prompt; `system_prompt` and `system_message` are other names of it, and
`question` and `instruction` of the prompt. A column that would have to be guessed is refused by its name.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from trustdag.data import jsonl, location
from trustdag.data.source import Drop, Message, NotAPair, Pair, Parts, SourceSettings, dialogue, pair_or_drop, text_of
from trustdag.data.transcript import REPLY, TURN, messages, normalised, pair_of
from trustdag.errors import UserError
from trustdag.hub import Commit, Repository

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
KEYS = ("prompt", "chosen", "rejected")
OTHER_PROMPTS = ("question", "instruction")
"""Other names of the prompt."""
UNREAD = ("input", "context", "history")
"""Columns with a part of the prompt in some data sets. They are refused, because its position is unknown."""
NEVER_READ = ("tools", "images", "documents")
"""Columns with more than text, that a model would need to give such replies."""
SYSTEMS = ("system", "system_prompt", "system_message")
COLUMNS = (*KEYS, *SYSTEMS, *OTHER_PROMPTS, *UNREAD, *NEVER_READ)
BESIDE_CONTENT = ("tool_calls", "function_call", "reasoning_content", "reasoning", "thinking", "images", "audio")
"""Keys of a message with more of it than `content`."""
A_FEW_WORDS = 3
"""Replies repeat the prompt if both start with it and it has at least this many words; fewer may be a coincidence. A
column with as many may be the prompt."""
TEMPLATES = ("<|im_start|>", "<|start_header_id|>", "<|begin_of_text|>", "<start_of_turn>", "<|user|>", "[INST]", "<s>")
"""Starts of prompts that a model's chat template has written."""


class Settings(SourceSettings):
    """TRL's preference formats, plain and conversational, from local files or from the hub."""

    source: Literal["trl"] = "trl"
    path: location.Paths | None = None
    """A .jsonl, .jsonl.gz or .parquet file, a folder of them, or a list of these. None: the hub."""
    name: Repository | None = None
    """Data set on the Hugging Face hub, such as `trl-lib/ultrafeedback_binarized`."""
    revision: Commit | None = None
    """Its commit, 40 hexadecimal digits. Branches and tags are refused, because they can change."""
    files: location.Paths = ()
    """Its files to read, such as `data/train-00000-of-00001.parquet`."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.path is None and not (self.name and self.revision and self.files):
            raise ValueError("give `path` for local files, or `name`, `revision` and `files` for the hub")
        if self.path is not None and (self.name or self.revision or self.files):
            raise ValueError("give either `path` or `name`, `revision` and `files`, not both")
        return self


def files(settings: Settings) -> dict[str, Path]:
    """The files to read, by name. Raises UserError for a file that is missing or cannot be fetched."""
    if settings.path is not None:
        return location.local(settings.path, SUFFIXES)
    return location.hub(str(settings.name), str(settings.revision), location.several(settings.files))


def read(settings: Settings) -> Iterator[Pair | Drop]:
    """Every record in file order. Raises UserError for a file that is missing, damaged or cut off."""
    for name, path in files(settings).items():
        if path.suffix == ".parquet":
            for where, row in _rows(path, name):
                yield pair_or_drop(where, parts, row)
        else:
            for where, line in jsonl.lines(path, name):
                yield pair_or_drop(where, lambda line: parts(jsonl.record(line)), line)


def _rows(path: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        implied = not {"prompt", *OTHER_PROMPTS} & set(names)
        columns = [column for column in names if implied or column in COLUMNS]
        number = 0
        for batch in file.iter_batches(batch_size=1024, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield f"{name}:{number}", row
    except (ArrowException, OSError) as error:
        raise UserError(f"{path}: not a whole Parquet file; fetch it again ({' '.join(str(error).split())})") from None


def parts(record: dict[str, Any]) -> Parts:
    """The prompt's messages and the two replies of a record in any of the formats.

    An implicit prompt is the common start of both: whole messages, or text up to the start of a word. (TRL cuts inside
    a word if the replies' first letters are equal.) A text prompt is one user message or, for an HH-RLHF transcript,
    its turns. Raises NotAPair.
    """
    record = {key: _opened(value, key) for key, value in record.items()}
    needed = [name for name in NEVER_READ if record.get(name)]
    if needed:
        raise NotAPair(f"`{needed[0]}` is not empty and is not read; remove the column if the replies do not need it")
    turns, chosen, rejected = _without_system(_renamed(record))
    systems = [name for name in SYSTEMS if record.get(name)]
    if not systems:
        return turns, chosen, rejected
    if len(systems) > 1 or turns[0]["role"] == "system":
        other = f"a `{systems[1]}` column" if len(systems) > 1 else "a system message"
        raise NotAPair(f"both a `{systems[0]}` column and {other}; remove one of them")
    return [Message(role="system", content=text_of(record, systems[0]).strip()), *turns], chosen, rejected


def _opened(value: Any, key: str) -> Any:
    """Parses messages in the form of JSON text, as in CSV files. Returns any other value unchanged."""
    if key not in KEYS or not isinstance(value, str) or not value.lstrip().startswith(("[{", '{"role"')):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        if "role" in value:
            raise NotAPair(f"`{key}` has messages as text that is not JSON; write them as JSON") from None
        return value


def _renamed(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its prompt as `prompt`. Raises NotAPair if other columns have a part of it."""
    names = [name for name in ("prompt", *OTHER_PROMPTS) if record.get(name)]
    unread = [name for name in UNREAD if record.get(name) and isinstance(record.get("chosen"), str)]
    if len(names) > 1 or unread:
        raise NotAPair(f"the columns {', '.join([*names, *unread])} all hold prompts; make one `prompt` of them")
    return record if not names or names == ["prompt"] else record | {"prompt": record[names[0]]}


def _without_system(record: dict[str, Any]) -> Parts:
    """The prompt's messages and the replies, without the text of a `system` column."""
    given, chosen, rejected = record.get("prompt"), record.get("chosen"), record.get("rejected")
    if isinstance(chosen, dict) and isinstance(rejected, dict):
        chosen, rejected = [chosen], [rejected]
    if isinstance(chosen, list) and isinstance(rejected, list):
        return _conversational(_start(given, chosen), _turns(chosen, "chosen"), _turns(rejected, "rejected"))
    chosen, rejected = text_of(record, "chosen"), text_of(record, "rejected")
    if isinstance(given, list):
        return _ending_with_user(dialogue(_turns(given, "prompt"))), chosen, rejected
    if given is not None:
        return _continued(text_of(record, "prompt"), chosen, rejected)
    if normalised(chosen).startswith("\n\nHuman:"):
        return pair_of(chosen, rejected)
    others = [key for key in record if key not in (*KEYS, *SYSTEMS) and _may_be_a_prompt(record[key])]
    if others:
        raise NotAPair(f"no `prompt`, and `{others[0]}` may be one; call it `prompt`, or remove the column")
    return _implied(chosen, rejected)


def _may_be_a_prompt(value: Any) -> bool:
    return (
        len(value.split()) >= A_FEW_WORDS if isinstance(value, str) else isinstance(value, list | dict) and bool(value)
    )


def _start(given: Any, chosen: list[Any]) -> list[Message] | None:
    """The separate prompt of conversations; None if they contain it."""
    if isinstance(given, list):
        return _turns(given, "prompt")
    if isinstance(given, str) and given.strip() and len(chosen) == 1:
        return [Message(role="user", content=given.strip())]
    return None  # a text prompt beside whole conversations repeats what they start with (as in UltraFeedback)


def _conversational(prompt: list[Message] | None, chosen: list[Message], rejected: list[Message]) -> Parts:
    if prompt and chosen[: len(prompt)] == prompt == rejected[: len(prompt)]:
        chosen, rejected = chosen[len(prompt) :], rejected[len(prompt) :]
    if prompt is None:
        pairs = zip(chosen[:-1], rejected[:-1], strict=False)
        shared = next(
            (index for index, (one, other) in enumerate(pairs) if one != other), min(len(chosen), len(rejected)) - 1
        )
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if len(chosen) != 1 or len(rejected) != 1:
        raise NotAPair("a reply holds further turns", "further_turns")
    if chosen[0]["role"] != "assistant" or rejected[0]["role"] != "assistant":
        raise NotAPair("a reply's role is not `assistant`")
    return _ending_with_user(dialogue(prompt)), chosen[0]["content"], rejected[0]["content"]


def _continued(prompt: str, chosen: str, rejected: str) -> Parts:
    transcript = normalised(prompt)
    if not transcript.startswith("\n\nHuman:"):
        start = prompt.strip()
        if start.startswith(TEMPLATES):
            raise NotAPair("the prompt was written by a chat template, which would be applied twice; give its messages")
        repeats = chosen.strip().startswith(start) and rejected.strip().startswith(start)
        if repeats and len(start.split()) >= A_FEW_WORDS:
            raise NotAPair("both replies repeat the prompt, which a model would learn to do; remove it from them")
        return [Message(role="user", content=start)], chosen, rejected
    if TURN.search(chosen) or TURN.search(rejected):
        raise NotAPair("a reply holds further turns", "further_turns")
    return _ending_with_user(messages(transcript.rstrip().removesuffix(REPLY))), chosen, rejected


def _implied(chosen: str, rejected: str) -> Parts:
    end = next((index for index, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other), None)
    end = min(len(chosen), len(rejected)) if end is None else end
    while end and not (chosen[end - 1].isspace() or (_starts_a_word(chosen[end:]) and _starts_a_word(rejected[end:]))):
        end -= 1
    if not chosen[:end].strip():
        raise NotAPair("no `prompt`, and `chosen` and `rejected` start with no word in common")
    return [Message(role="user", content=chosen[:end].strip())], chosen[end:], rejected[end:]


def _starts_a_word(rest: str) -> bool:
    return not rest or rest[0].isspace()


def _ending_with_user(turns: list[Message]) -> list[Message]:
    if turns[-1]["role"] != "user":
        raise NotAPair("the prompt's last turn is not the user's")
    return turns


def _turns(value: list[Any], key: str) -> list[Message]:
    if not value:
        raise NotAPair(f"`{key}` holds no message")
    return [_turn(entry, key) for entry in value]


def _turn(entry: Any, key: str) -> Message:
    if not isinstance(entry, dict) or entry.get("role") not in ("system", "user", "assistant"):
        has = f"keys {', '.join(map(str, entry))}" if isinstance(entry, dict) else type(entry).__name__
        role = entry.get("role") if isinstance(entry, dict) else None
        has = f"role {role}" if role else has
        raise NotAPair(f"`{key}` holds a message whose role is not system, user or assistant ({has})")
    beside = [name for name in BESIDE_CONTENT if entry.get(name)]
    if beside:
        raise NotAPair(f"`{key}` holds a message with `{beside[0]}`, which is not read; remove it, or the record")
    content = entry.get("content")
    if isinstance(content, list) and content and all(_is_text(part) for part in content):
        entry = entry | {"content": "".join(part["text"] for part in content)}
    return Message(role=entry["role"], content=text_of(entry, "content").strip())


def _is_text(part: Any) -> bool:
    """Whether a part of a message's content is text, as in `[{"type": "text", "text": "Hi."}]`."""
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
