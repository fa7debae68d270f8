"""The identity of a model and the files of a study: the only module that writes or parses these paths."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Self

from trustdag.errors import UserError

BASE = "base"
"""Name of the empty chain."""
EXTERNAL_PATTERN = "{model}/{external}"
"""A base model or an existing checkpoint, as a pattern with wildcards."""
TRAINED_PATTERN = "{model}/{preferences}/{chain}/seed{seed}"
"""A model that a stage of the study trains, as a pattern with wildcards."""
BOOK = "code.json"
"""Name of the index of code fingerprints, beside the folders of the jobs' records."""
POLICY_EXPRESSION = r"[^/]+/[^/]+(/[^/]+/seed-?\d+)?"
"""A regular expression of both."""


@dataclass(frozen=True)
class ModelId:
    """A model: external (`MODEL/CHAIN`; the base: `MODEL/base`) or trained (`MODEL/PREFERENCES/CHAIN/seedN`)."""

    model: str
    """Name of the base model in the study."""
    chain: tuple[str, ...]
    """The stages that made the model, first to last; empty for a base model."""
    preferences: str | None = None
    """Name of the preference set; None for an external model."""
    seed: int | None = None
    """Training seed; None for an external model."""

    def __str__(self) -> str:
        """The model's folder below `models/`, and that of its replies and records below theirs."""
        if self.preferences is None:
            return f"{self.model}/{self.chain_name}"
        return f"{self.model}/{self.preferences}/{self.chain_name}/seed{self.seed}"

    @property
    def chain_name(self) -> str:
        """The chain's name in paths."""
        return chain_name(self.chain)

    @property
    def wildcards(self) -> tuple[str, ...]:
        """The values of the wildcards in `EXTERNAL_PATTERN` or `TRAINED_PATTERN`, in order."""
        if self.preferences is None:
            return (self.model, self.chain_name)
        return (self.model, self.preferences, self.chain_name, str(self.seed))

    def after(self, stages: int) -> Self:
        """The model of the same preferences and seed after that many stages of the chain."""
        return replace(self, chain=self.chain[:stages])

    @property
    def is_trained(self) -> bool:
        """Whether a stage of the study trains the model."""
        return self.preferences is not None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The model with this text as its `str`. Raises ValueError for any other text."""
        match text.split("/"):
            case [model, chain]:
                return cls(model, chain_of(chain))
            case [model, preferences, chain, seed] if seed.startswith("seed"):
                return cls(model, chain_of(chain), preferences, int(seed.removeprefix("seed")))
        raise ValueError(f"{text}: neither MODEL/CHAIN nor MODEL/PREFERENCES/CHAIN/seedN")


def chain_name(stages: Iterable[str]) -> str:
    """The name of a chain in paths: its stages joined by hyphens, or `base` for none."""
    return "-".join(stages) or BASE


def chain_of(name: str) -> tuple[str, ...]:
    """The stages of a chain by its name in paths: `sft-dpo`, or `base` for none."""
    return () if name == BASE else tuple(name.split("-"))


def refuse_wildcards(*groups: Iterable[str]) -> None:
    """Raises UserError for a path with a part in braces, which Snakemake can only read as a wildcard."""
    for path in chain.from_iterable(groups):
        if (wildcard := re.search(r"\{\s*\w+[^{}]*\}", path)) is not None:
            raise UserError(f"{path}: Snakemake takes `{wildcard[0]}` for a wildcard; rename the file or folder")


def record_name(wildcards: Iterable[str]) -> str:
    """The name of a job's record among those of its rule: the values of the job's wildcards, in order."""
    return ",".join(value.replace("/", ",") for value in wildcards)


def model_of_record(name: str) -> str:
    """The model of a job's record, for rules whose first wildcard is a model or a policy."""
    return name.split(",")[0]


def records_file(root: str | Path, policy: str | ModelId, vertical: str) -> Path:
    """The records of one policy and vertical below a folder of records.

    Args:
        root: the folder of records.
        policy: the policy's id.
        vertical: the vertical's name.
    """
    return Path(root) / str(policy) / f"{vertical}.parquet"


@dataclass(frozen=True)
class Results:
    """The files of one study. Arguments may be patterns with Snakemake's wildcards.

    `policy` is the text of a `ModelId`.
    """

    root: str
    """The study's results folder, relative to the working directory."""

    @classmethod
    def of(cls, study: str) -> Self:
        """The files of the study with this name."""
        return cls(f"results/{study}")

    def data(self, preferences: str, name: str) -> str:
        """A file of a prepared preference set, such as `train.parquet`, `card.json` or `digest.txt`."""
        return f"{self.root}/data/{preferences}/{name}"

    @property
    def models(self) -> str:
        """The folder of all models."""
        return f"{self.root}/models"

    def model(self, policy: str | ModelId, name: str) -> str:
        """A file of a model: `model` (a folder), `manifest.json`, `digest.txt` or `metrics.jsonl`."""
        return f"{self.models}/{policy}/{name}"

    def items(self, vertical: str) -> str:
        """The questions of a vertical."""
        return f"{self.root}/items/{vertical}.parquet"

    def items_card(self, vertical: str) -> str:
        """The data card of a vertical's items."""
        return f"{self.root}/items/{vertical}.card.json"

    def items_digest(self, vertical: str) -> str:
        """The digest of the content of a vertical's items."""
        return f"{self.root}/items/{vertical}.digest.txt"

    def replies(self, policy: str | ModelId, vertical: str) -> str:
        """A policy's replies to a vertical's items."""
        return f"{self.root}/replies/{policy}/{vertical}.parquet"

    @property
    def all_records(self) -> str:
        """The folder of all records."""
        return f"{self.root}/records"

    def records(self, policy: str | ModelId, vertical: str) -> str:
        """The scores of those replies."""
        return str(records_file(self.all_records, policy, vertical))

    def attribution(self, policy: str | ModelId, vertical: str) -> str:
        """The attribution scores of the training pairs for a vertical's metric."""
        return f"{self.root}/attributions/{policy}/{vertical}.parquet"

    @property
    def all_statistics(self) -> str:
        """The folder of the tables of statistics."""
        return f"{self.root}/statistics"

    def statistics(self, name: str) -> str:
        """A table of the study: `metrics`, `differences` or `seeds`."""
        return f"{self.all_statistics}/{name}.csv"

    def plot(self, name: str, kind: str) -> str:
        """A plot as `svg` or `png`."""
        return f"{self.root}/plots/{name}.{kind}"

    def log(self, *names: str) -> str:
        """The log of a job, named by its kind and by its differences from other jobs of the kind."""
        return f"{self.root}/logs/{'/'.join(names)}.log"

    @property
    def tracking(self) -> str:
        """The folder of what live trackers write. No rule has it as an output."""
        return f"{self.root}/tracking"

    @property
    def all_benchmarks(self) -> str:
        """The folder of run times."""
        return f"{self.root}/benchmarks"

    def benchmark(self, *names: str) -> str:
        """Run time and memory of a job, named like its log."""
        return f"{self.all_benchmarks}/{'/'.join(names)}.tsv"

    @property
    def design(self) -> str:
        """The study's design: which policies are compared with which."""
        return f"{self.root}/design.json"

    @property
    def configuration(self) -> str:
        """The configuration that the results depend on."""
        return f"{self.root}/configuration.json"

    @property
    def owner(self) -> str:
        """The file that names the configuration file to which the results belong."""
        return f"{self.root}/.configuration"

    @property
    def report(self) -> str:
        """The page."""
        return f"{self.root}/report.html"

    @property
    def tables(self) -> str:
        """The folder of the page's tables as CSV."""
        return f"{self.root}/tables"

    @property
    def job_records(self) -> Path:
        """The folder of the jobs' records: a folder for each rule."""
        return Path(self.root) / ".jobs"

    def job_record(self, rule: str, wildcards: Iterable[str]) -> Path:
        """The record of one job."""
        return self.job_records / rule / f"{record_name(wildcards)}.json"

    @property
    def code_book(self) -> Path:
        """The index of the modules in each fingerprint of code that jobs of the study ran."""
        return self.job_records / BOOK


def code_book_beside(record: Path) -> Path:
    """The index of code fingerprints of the study that the record of a job belongs to."""
    return record.parents[1] / BOOK


def job_kind(benchmark: Path) -> str:
    """The kind of job of a benchmark file, from its path below `all_benchmarks`; for models the trained stage."""
    parts = benchmark.with_suffix("").parts
    if parts[0] != "models":
        return parts[0]
    model_id = ModelId.parse("/".join(parts[1:]))
    return f"train {model_id.chain[-1] if model_id.is_trained else BASE}"
