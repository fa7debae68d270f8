"""The identity of a model and the files of a study: the only module that writes or parses these paths."""

from dataclasses import dataclass
from typing import Self

BASE = "base"
"""Stands for the empty chain."""
EXTERNAL_PATTERN = "{model}/{external}"
"""A base model or an existing checkpoint, as a pattern with wildcards."""
TRAINED_PATTERN = "{model}/{preferences}/{chain}/seed{seed}"
"""A model that a stage of the study trains, as a pattern with wildcards."""
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
        """The stages joined by hyphens; `base` for none."""
        return "-".join(self.chain) or BASE

    @property
    def is_trained(self) -> bool:
        """Whether a stage of the study trains the model."""
        return self.preferences is not None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The model whose `str` this is. Raises ValueError for any other text."""
        match text.split("/"):
            case [model, chain]:
                return cls(model, chain_of(chain))
            case [model, preferences, chain, seed] if seed.startswith("seed"):
                return cls(model, chain_of(chain), preferences, int(seed.removeprefix("seed")))
        raise ValueError(f"{text}: neither MODEL/CHAIN nor MODEL/PREFERENCES/CHAIN/seedN")


def chain_of(name: str) -> tuple[str, ...]:
    """The stages of a chain by its name in paths: `sft-dpo`, or `base` for none."""
    return () if name == BASE else tuple(name.split("-"))


@dataclass(frozen=True)
class Results:
    """The files of one study. Arguments may be patterns with Snakemake's wildcards.

    Each method names what it returns. `policy` is the text of a `ModelId`.
    """

    root: str
    """The study's results folder, relative to the working directory."""

    @classmethod
    def of(cls, study: str) -> Self:
        """The files of the study of that name."""
        return cls(f"results/{study}")

    def data(self, preferences: str, name: str) -> str:
        """A file of a prepared preference set, such as `train.parquet` or `card.json`."""
        return f"{self.root}/data/{preferences}/{name}"

    def model(self, policy: str | ModelId, name: str) -> str:
        """A file of a model: `model` (a folder), `manifest.json` or `metrics.jsonl`."""
        return f"{self.root}/models/{policy}/{name}"

    def items(self, vertical: str) -> str:
        """The questions of a vertical."""
        return f"{self.root}/items/{vertical}.parquet"

    def items_card(self, vertical: str) -> str:
        """Their data card."""
        return f"{self.root}/items/{vertical}.card.json"

    def replies(self, policy: str | ModelId, vertical: str) -> str:
        """What a policy replied to a vertical's items."""
        return f"{self.root}/replies/{policy}/{vertical}.parquet"

    def records(self, policy: str | ModelId, vertical: str) -> str:
        """The scores of those replies."""
        return f"{self.root}/records/{policy}/{vertical}.parquet"

    def statistics(self, name: str) -> str:
        """A table of the study: `metrics`, `differences` or `seeds`."""
        return f"{self.root}/statistics/{name}.csv"

    def plot(self, name: str, kind: str) -> str:
        """A plot as `svg` or `png`."""
        return f"{self.root}/plots/{name}.{kind}"

    def log(self, name: str) -> str:
        """The log of a job."""
        return f"{self.root}/logs/{name}.log"

    def benchmark(self, name: str) -> str:
        """Run time and memory of a job."""
        return f"{self.root}/benchmarks/{name}.tsv"

    @property
    def design(self) -> str:
        """The study's design: which policies are compared with which."""
        return f"{self.root}/design.json"

    @property
    def configuration(self) -> str:
        """The configuration that the results follow from."""
        return f"{self.root}/configuration.json"

    @property
    def report(self) -> str:
        """The page."""
        return f"{self.root}/report.html"

    @property
    def tables(self) -> str:
        """The folder of the page's tables as CSV."""
        return f"{self.root}/tables"

    @property
    def jobs(self) -> str:
        """The folder of the jobs' records."""
        return f"{self.root}/.jobs"
