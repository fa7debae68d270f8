"""Why a job is pending, as text, from Snakemake's reason in a dry run. All functions but the last are pure."""

import ast
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trustdag.fingerprint import read_fingerprint_index
from trustdag.layout import code_book_beside
from trustdag.pending.dryrun import Job

HEADERS = {
    "Missing output files: ": "missing",
    "Incomplete output files: ": "incomplete",
    "Updated input files: ": "updated",
    "Input files updated by another job: ": "follows",
    "Set of input files has changed since last execution": "inputs",
    "Code has changed since last execution": "command",
    "Params have changed since last execution: ": "params",
    "Software environment definition has changed since last execution": "environment",
    "Forced execution": "forced",
}
"""The sentences of `snakemake.jobs.Reason`, in Snakemake 9.27."""
CODE = re.compile(r"^[0-9a-f]{16}$")
NOTHING = "<nothing exclusive>"
SHOWN = 3
"""Largest number of changes that are listed; the others are counted."""

LONGEST = 60
"""Largest number of characters of a value that are shown."""

CodeBook = Mapping[str, Mapping[str, str]]
"""For a fingerprint of code: the hash of each module in it."""


def in_words(reason: str, exists: frozenset[str], book: CodeBook, before: Collection[str] = ()) -> str:
    """A job's reason as text: `new`, `beta 0.1 -> 0.2`, `code of align/ppo.py`, `data/hh.jsonl updated`, ...

    Args:
        reason: Snakemake's reason.
        exists: the job's outputs that exist. A job with none of its outputs is new.
        book: the modules of each fingerprint of code.
        before: rules of the pending jobs that make its inputs.
    """
    kinds = dict(sections(reason))
    said = [_said(kind, text, exists, book) for kind, text in kinds.items() if kind != "follows"]
    words = [sentence for sentence in said if sentence]
    if not words and "follows" in kinds:
        return f"follows {_few(sorted(before)) or 'what is pending'}"
    return "; ".join(words) or reason


def sections(reason: str) -> Iterator[tuple[str, str]]:
    """The kinds of a reason and the text of each, in order."""
    starts = [(match.start(), match.end(), kind) for head, kind in HEADERS.items() for match in _heads(reason, head)]
    starts.sort()
    for (_, begin, kind), (end, _, _) in zip(starts, [*starts[1:], (len(reason) + 2, 0, "")], strict=True):
        yield kind, reason[begin : max(begin, end - 2)]


def _heads(reason: str, head: str) -> Iterator[re.Match[str]]:
    """Matches of a sentence's start: at the beginning or after `; `, never within a parameter."""
    return re.finditer(rf"(?:^|(?<=; )){re.escape(head)}", reason)


def _said(kind: str, text: str, exists: frozenset[str], book: CodeBook) -> str:
    match kind:
        case "missing":
            lost = [name for name in text.split(", ") if name not in exists]
            return f"{_few(lost)} is gone" if exists else "new"
        case "incomplete":
            return "stopped before it was done"
        case "updated":
            return f"{_few(text.split(', '))} updated"
        case "inputs":
            return "other inputs than before"
        case "command":
            return "the rule's command"
        case "environment":
            return "the rule's conda environment"
        case "params":
            return ", ".join(changes(text, book))
        case _:
            return "forced"


def _few(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


# --- Changed parameters ---


def changes(text: str, book: CodeBook) -> list[str]:
    """What changed among a job's params: each leaf of its settings, each module of its code."""
    before, now = before_and_now(text)
    settings = [(old, new) for old, new in _paired(_objects(before), _objects(now))]
    words = [change for old, new in settings for change in differences(old, new)]
    codes = [value for value in before if _is_code(value)], [value for value in now if _is_code(value)]
    if any(codes):
        words.append(f"code of {_modules(codes[0], codes[1], book)}")
    plain = [value for value in before if _is_plain(value)], [value for value in now if _is_plain(value)]
    if any(plain):
        words.append(f"{_listed(plain[0])} -> {_listed(plain[1])}")
    more = [f"and {len(words) - SHOWN} more"] if len(words) > SHOWN else []
    return words[:SHOWN] + more


def before_and_now(text: str) -> tuple[list[Any], list[Any]]:
    """The params that only the last run had, and those that only this one has. Raises ValueError for other text.

    Returns:
        The values that the last run had, and those that this one has.
    """
    body = text.partition("before: ")[2].strip()
    for match in re.finditer(r" now: ", body):
        try:
            return _literals(body[: match.start()]), _literals(body[match.end() :])
        except (ValueError, SyntaxError):
            continue  # the text was part of a parameter
    raise ValueError(f"not Snakemake's account of changed params: {text!r}")


def _literals(text: str) -> list[Any]:
    return [] if text.strip() == NOTHING else list(ast.literal_eval(f"[{text}]"))


def differences(old: Any, new: Any, key: str = "") -> Iterator[str]:
    """Each leaf that differs between two JSON values, as `key old -> new`.

    Args:
        old: the earlier value.
        new: the value now.
        key: the path to both, joined by dots; empty at the root.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from differences(old.get(name), new.get(name), f"{key}.{name}" if key else str(name))
    elif isinstance(old, list) and isinstance(new, list) and any(isinstance(value, dict | list) for value in old + new):
        yield from _list_differences(old, new, key)
    elif old != new:
        yield f"{key} {_short(old)} -> {_short(new)}"


def _list_differences(old: list[Any], new: list[Any], key: str) -> Iterator[str]:
    """The changes of a list of sections: the numbers of added and removed ones, or the leaves that differ."""
    if len(old) == len(new):
        for place, (before, now) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, now, f"{key}.{place}")
        return
    came, went = sum(value not in old for value in new), sum(value not in new for value in old)
    counts = [f"{came} more" if came else "", f"{went} fewer" if went else ""]
    yield f"{key}: {', '.join(filter(None, counts))}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def _objects(values: list[Any]) -> list[dict[str, Any]]:
    return [section for value in values if isinstance(section := _json(value), dict)]


def _json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else None
    except json.JSONDecodeError:
        return None


def _paired(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of old and new settings that share the most keys."""
    left = list(now)
    for old in before:
        new = max(left, key=lambda candidate: len(old.keys() & candidate.keys()), default={})
        if new:
            left.remove(new)
        yield old, new
    for new in left:
        yield {}, new


def _is_code(value: Any) -> bool:
    return isinstance(value, str) and CODE.match(value) is not None


def _is_plain(value: Any) -> bool:
    return not _is_code(value) and not isinstance(_json(value), dict)


def _modules(before: list[str], now: list[str], book: CodeBook) -> str:
    """The modules that differ between two fingerprints, if the index contains both."""
    old = {name: digest for value in before for name, digest in book.get(value, {}).items()}
    new = {name: digest for value in now for name, digest in book.get(value, {}).items()}
    if not old or not new:
        return "its modules"
    return _few(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def _listed(values: list[Any]) -> str:
    return ", ".join(str(value) for value in values) or "nothing"


# --- For the jobs of a dry run ---


def explained(jobs: Sequence[Job], code: CodeBook) -> dict[int, str]:
    """The reason of each job as text. Reads which outputs exist, and the old and new code fingerprints."""
    exists = {name for job in jobs for name in job.outputs if Path(name).exists()}
    books = {code_book_beside(Path(str(job.resources["record"]))) for job in jobs if "record" in job.resources}
    noted = {key: modules for path in books for key, modules in read_fingerprint_index(path).items()}
    book = noted | dict(code)
    rules = {job.id: job.rule for job in jobs}
    return {
        job.id: in_words(job.reason, frozenset(exists & set(job.outputs)), book, {rules[need] for need in job.needs})
        for job in jobs
    }
