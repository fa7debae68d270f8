"""Converts any source to the canonical Parquet files: drops unusable records, splits by conversation, writes a card."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, get_args

from trustdag.artifacts import atomic_files, sha256_file, sha256_text, write_digest, write_json
from trustdag.data import sources
from trustdag.data.card import Lengths, RecordCounts, Texts, file_facts
from trustdag.data.source import Drop, Message, Pair, SourceSettings
from trustdag.data.tables import Table, corpus_schema, pairs_schema, rows
from trustdag.data.transcript import REPLY, hh_transcript
from trustdag.errors import UserError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
CHECKED_EVERY = 100_000
"""Number of records after which no more are read if fewer than one of `FEWEST_KEPT` can be used."""
FEWEST_KEPT = 100


def prepare(
    settings: SourceSettings,
    out: Path,
    counts: RecordCounts | None = None,
    before_record: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Writes {train,validation,test,corpus}.parquet and card.json into `out`, and returns the card.

    The columns are those of docs/architecture.md; the same input gives the same bytes. The files replace earlier ones
    in `out` only when all of them are written. After an error or a kill, earlier results are unchanged.

    Args:
        settings: The source and its settings.
        out: The folder to write.
        counts: Updated while records are read, to show progress.
        before_record: Called before each record.

    Raises:
        UserError: Input is missing or damaged, or would be overwritten; too many records are malformed, or a split
            would be empty.
    """
    source = sources()[settings.source]
    files: dict[str, Path] = source.files(settings) if hasattr(source, "files") else {}
    _refuse_own_sources(out, files.values())
    counts = RecordCounts() if counts is None else counts
    with atomic_files(out) as folder:
        pairs = kept(source.read(settings), settings, counts, before_record)
        lengths = write_pairs(pairs, settings, folder)
        check(counts, lengths, settings)
        own = source.corpus(settings) if hasattr(source, "corpus") else transcripts(folder / "train.parquet")
        card = {
            "settings": settings.model_dump(mode="json"),
            "files": file_facts(files),
            "records": counts.facts(),
            "splits": {split: lengths[split].facts() for split in SPLITS},
            "corpus": write_corpus(own, folder).facts(),
        }
        digests = {path.name: sha256_file(path) for path in sorted(folder.glob("*.parquet"))}
        write_json(folder / "card.json", card | {"sha256": digests})
        write_digest(folder / "digest.txt", sha256_text(digests.values()))
    return card | {"sha256": digests}


def _refuse_own_sources(out: Path, files: Iterable[Path]) -> None:
    """Raises UserError for a file of the source that an output would replace."""
    outputs = {(out / f"{name}.parquet").resolve() for name in (*SPLITS, "corpus")}
    for path in files:
        if path.resolve() in outputs:
            raise UserError(f"--out: {path} is a file of the source and would be overwritten; name another folder")


def kept(
    records: Iterable[Pair | Drop],
    settings: SourceSettings,
    counts: RecordCounts,
    before_record: Callable[[], object],
) -> Iterator[Pair]:
    """The pairs that can be trained on, up to the limit.

    Args:
        records: The records of a source.
        settings: The limits.
        counts: Counts every record, and the reason of each dropped one.
        before_record: Called before each record.

    Raises:
        UserError: Almost none of many records can be used.
    """
    seen: set[bytes] = set()
    for record in records:
        before_record()
        counts.read += 1
        if isinstance(record, Drop):
            counts.drop(record)
        elif drop := unfit(record, settings) or repeated(record, seen):
            counts.drop(drop)
        else:
            counts.kept += 1
            yield record
            if counts.kept == settings.limit:
                return
        if counts.read % CHECKED_EVERY == 0:
            _refuse_useless(counts, record["source"] if isinstance(record, dict) else record.source)


def _refuse_useless(counts: RecordCounts, where: str) -> None:
    """Raises UserError for a source without pairs, which would be read to its end: that may never come."""
    if counts.kept * FEWEST_KEPT < counts.read:
        raise UserError(
            f"{where}: fewer than 1 of {FEWEST_KEPT} of the first {counts.read:,} records can be used, so no more are"
            f" read: {counts.summary()}; is this the right file for `source`?"
        )


def unfit(pair: Pair, settings: SourceSettings) -> Drop | None:
    """The reason why a pair cannot be trained on, or None. Lengths are in characters, as there is no tokenizer yet."""
    replies = (pair["chosen"], pair["rejected"])
    if not all(map(_visible, replies)):
        return Drop(pair["source"], "empty", f"the {'rejected' if _visible(replies[0]) else 'chosen'} reply is empty")
    if not all(_visible(message["content"]) for message in pair["prompt"]):
        return Drop(pair["source"], "empty", "a turn of the prompt is empty")
    if replies[0] == replies[1]:
        return Drop(pair["source"], "identical", "both replies are the same")
    if (size := sum(len(message["content"]) for message in pair["prompt"])) > settings.max_prompt_characters:
        return Drop(pair["source"], "over_length", f"the prompt has {size} characters")
    if (size := max(map(len, replies))) > settings.max_reply_characters:
        return Drop(pair["source"], "over_length", f"a reply has {size} characters")
    return None


def _visible(text: str) -> bool:
    """Whether a text contains more than white space and zero-width characters."""
    return any(not character.isspace() and unicodedata.category(character) != "Cf" for character in text)


def repeated(pair: Pair, seen: set[bytes]) -> Drop | None:
    """A drop if prompt and replies were seen before; otherwise they are added to `seen`."""
    digest = _digest(pair)
    if digest in seen:
        return Drop(pair["source"], "duplicate", "an earlier record has the same prompt and replies")
    seen.add(digest)
    return None


def prompt_id(prompt: list[Message]) -> str:
    """The id of a prompt: 16 hexadecimal digits of a hash of its roles and contents."""
    return sha256_text(part for message in prompt for part in (message["role"], message["content"]))[:16]


def split_of(prompt: list[Message], settings: SourceSettings) -> Split:
    """The split of a prompt, by a seeded hash of the user's first message.

    So no prompt and no conversation is in two splits. (HH-RLHF compares replies at several turns of one dialogue, and
    the prompt of a later turn contains the chosen reply of an earlier one.) Adding pairs moves no other pair.
    """
    opening = next(message["content"] for message in prompt if message["role"] == "user")
    digest = hashlib.sha256(f"{settings.split_seed}\0{opening}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < settings.test:
        return "test"
    return "validation" if place < settings.test + settings.validation else "train"


def write_pairs(pairs: Iterable[Pair], settings: SourceSettings, folder: Path) -> dict[Split, Lengths]:
    """Writes each pair to the table of its split, and returns the splits' sizes.

    Args:
        pairs: The kept pairs, in order.
        settings: The shares and the seed of the splits.
        folder: The folder of {train,validation,test}.parquet.
    """
    lengths = {split: Lengths() for split in SPLITS}
    with ExitStack() as stack:
        tables = {split: stack.enter_context(Table(folder / f"{split}.parquet", pairs_schema())) for split in SPLITS}
        for pair in pairs:
            split, prompt = split_of(pair["prompt"], settings), prompt_id(pair["prompt"])
            tables[split].add({"prompt_id": prompt, **pair})
            lengths[split].add(prompt, pair)
    return lengths


def write_corpus(texts: Iterable[str], folder: Path) -> Texts:
    """Writes the corpus of a base model that is trained from scratch, and returns its size."""
    size = Texts()
    with Table(folder / "corpus.parquet", corpus_schema()) as table:
        for text in texts:
            table.add({"text": text})
            size.add(text)
    return size


def transcripts(train: Path) -> Iterator[str]:
    """One transcript for each pair of the train split, with the chosen or the rejected reply, selected by a hash.

    So a base model trained from scratch reads each comparison once, sees both kinds of reply equally often, and learns
    nothing about the preference or the other splits.
    """
    for pair in rows(train):
        reply = pair["chosen"] if _digest(pair)[0] % 2 else pair["rejected"]
        yield f"{hh_transcript(pair['prompt'])}{REPLY} {reply}"


def check(counts: RecordCounts, lengths: dict[Split, Lengths], settings: SourceSettings) -> None:
    """Raises UserError if too many records are malformed, no pair is kept, or a requested split is empty.

    Args:
        counts: Numbers of records read and dropped.
        lengths: The size of each split.
        settings: The limit of malformed records.
    """
    malformed = counts.counts["malformed"]
    if malformed > settings.max_malformed * counts.read:
        first = counts.dropped["malformed"][0]
        raise UserError(
            f"{first.source}: {first.why} (the first of {malformed:,} malformed among {counts.read:,} records);"
            f" mend the file, choose another `source`, or raise `max_malformed` (now {settings.max_malformed:g})"
        )
    if not counts.kept:
        where = getattr(settings, "path", None) or settings.source
        raise UserError(f"{where}: no pair is left to train on: {counts.summary()}")
    wanted = {"train": 1.0, "validation": settings.validation, "test": settings.test}
    for split in SPLITS:
        if wanted[split] and not lengths[split].prompts:
            raise UserError(
                f"no pair falls into the {split} split: {counts.summary()};"
                " give more data, or change `validation`, `test` or `split_seed`"
            )


def _digest(pair: Pair | dict[str, Any]) -> bytes:
    return bytes.fromhex(sha256_text([prompt_id(pair["prompt"]), pair["chosen"], pair["rejected"]]))[:16]
