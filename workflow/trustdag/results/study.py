"""A finished study as data frames. They are read from the files that the workflow wrote; nothing is computed."""

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from trustdag.artifacts import read_table
from trustdag.errors import UserError
from trustdag.generation.tables import read_items, read_replies
from trustdag.jsonfiles import EVERY, read_object, read_section
from trustdag.layout import Results
from trustdag.report.answer import kind_of
from trustdag.report.changes import changes
from trustdag.report.draw import rows_of
from trustdag.report.numbers import interval, signed, title
from trustdag.report.runs import models
from trustdag.results.columns import MEANINGS
from trustdag.stats import tables
from trustdag.stats.design import StudyDesign
from trustdag.verticals.base import RECORD_COLUMNS


class StudyResults:
    """The results of one study. Tables are read on first use; `columns` returns the meaning of their columns."""

    def __init__(self, folder: str | Path) -> None:
        """Opens a results folder, such as results/demo. Raises UserError if it contains no finished study."""
        self.folder = Path(folder)
        self.files = Results(str(self.folder))
        for name in (self.files.design, self.files.statistics("metrics")):
            if not Path(name).is_file():
                raise UserError(f"{name}: no such file; give the folder of a study that has run, such as results/demo")
        self.design = read_section(Path(self.files.design), StudyDesign)

    @property
    def configuration(self) -> dict[str, Any]:
        """The whole configuration that the results depend on."""
        shape = {"verticals?": {EVERY: (dict, type(None))}, "preferences?": {EVERY: dict}, "statistics?": dict}
        return read_object(Path(self.files.configuration), shape, "a study's configuration")

    @cached_property
    def tables(self) -> tables.Tables:
        """The tables of statistics as they were written."""
        return tables.read(Path(self.files.all_statistics))

    @property
    def metrics(self) -> pd.DataFrame:
        """Each policy's metrics with intervals."""
        return self.tables.metrics

    @property
    def differences(self) -> pd.DataFrame:
        """Each policy's paired differences to its base model and its SFT policy."""
        return self.tables.differences

    @property
    def seeds(self) -> pd.DataFrame:
        """Means and mean differences over training seeds; empty for one seed."""
        return self.tables.seeds

    @cached_property
    def answer(self) -> pd.DataFrame:
        """The headline changes since the base model, as the report shows them: a row for each recipe and vertical."""
        all_changes = changes(self.tables)
        headlines = all_changes[all_changes["headline"].astype(bool) & all_changes["reference"].eq("base")]
        named = headlines.assign(answer=[kind_of(row) for row in rows_of(headlines)])
        return named[list(MEANINGS["answer"])].reset_index(drop=True)

    def records(self, vertical: str, policy: str | None = None) -> pd.DataFrame:
        """The score of each item.

        Args:
            vertical: Name of the vertical.
            policy: The policy; None: all policies of the study.

        Raises:
            UserError: The study has no such vertical or policy.
        """
        frames = [
            read_table(Path(self.files.records(name, vertical)), RECORD_COLUMNS, "records").assign(
                policy=name, vertical=vertical
            )
            for name in self._chosen(vertical, policy)
        ]
        return _leading(pd.concat(frames, ignore_index=True), "records")

    def replies(self, vertical: str, policy: str | None = None) -> pd.DataFrame:
        """Every reply with its prompt.

        Args:
            vertical: Name of the vertical.
            policy: The policy; None: all policies of the study.

        Raises:
            UserError: The study has no such vertical or policy.
        """
        policies = self._chosen(vertical, policy)
        prompts = self.items(vertical)[["item", "condition", "prompt"]]
        frames = [
            read_replies(Path(self.files.replies(name, vertical))).assign(policy=name, vertical=vertical)
            for name in policies
        ]
        return _leading(pd.concat(frames, ignore_index=True).merge(prompts, on="item", how="left"), "replies")

    def items(self, vertical: str) -> pd.DataFrame:
        """The questions of a vertical with their gold columns, and `prompt`: the messages as text."""
        self._chosen(vertical, None)
        items = read_items(Path(self.files.items(vertical)))
        return items.assign(prompt=[_as_text(messages) for messages in items["messages"]])

    @cached_property
    def models(self) -> pd.DataFrame:
        """A row for each model, with its method, its folder and its manifest."""
        rows = []
        for run in models(self.design, self.folder):
            manifest = run.manifest()
            facts = {name: manifest[name] for name in ("prompt_format", "parameters")}
            rows.append(
                {"policy": str(run.id), "method": run.method, "model": run.model, "preferences": run.preferences}
                | {"stage": run.name, "seed": run.seed}
                | facts
                | {"folder": str(run.folder / "model"), "manifest": manifest}
            )
        return pd.DataFrame(rows).astype({"seed": "Int64"})

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The training curves of all models that the study trained, a row for each line of metrics.jsonl."""
        runs = [run for run in models(self.design, self.folder) if run.has_curves]
        frames = [run.curves().assign(policy=str(run.id), method=run.method) for run in runs]
        if not frames:
            return pd.DataFrame(columns=list(MEANINGS["curves"]))
        return _leading(pd.concat(frames, ignore_index=True), "curves")

    @property
    def cards(self) -> dict[str, dict[str, Any]]:
        """The data cards: of each preference set and of each vertical's items."""
        sets = dict.fromkeys(policy.preferences for policy in self.design.policies if policy.preferences)
        files = {name: self.files.data(name, "card.json") for name in sets}
        files |= {name: self.files.items_card(name) for name in self.design.verticals}
        return {name: read_object(Path(file), {}, "a data card") for name, file in files.items()}

    @staticmethod
    def columns(table: str) -> dict[str, str]:
        """The meaning of a table's columns, for `answer`, `metrics`, `records`, or another table in docs/python.md."""
        return dict(MEANINGS[table])

    def _chosen(self, vertical: str, policy: str | None) -> list[str]:
        policies = [evaluated.id for evaluated in self.design.policies]
        if vertical not in self.design.verticals:
            raise UserError(
                f"no vertical `{vertical}` in {self.folder}; choose one of {', '.join(self.design.verticals)}"
            )
        if policy is not None and policy not in policies:
            raise UserError(f"no policy `{policy}` in {self.folder}; choose one of {', '.join(policies)}")
        return policies if policy is None else [policy]

    def __repr__(self) -> str:
        """The study's name and size."""
        policies, verticals = len(self.design.policies), len(self.design.verticals)
        return f"StudyResults({str(self.folder)!r}): {policies} policies, {verticals} verticals"

    def _repr_html_(self) -> str:
        """The answer as a table, for notebooks."""
        shown = self.answer.assign(
            change=[signed(value) for value in self.answer["change"]],
            interval=[interval(low, high) for low, high in zip(self.answer["low"], self.answer["high"], strict=True)],
            metric=[title(name) for name in self.answer["metric"]],
        )
        names = ["model", "preferences", "recipe", "vertical", "metric", "change", "interval", "answer"]
        table = shown[names].to_html(index=False, escape=True, border=0)
        notice = f"<p>{_escaped(self.design.notice)}</p>" if self.design.notice else ""
        return f"<p><b>{_escaped(self.design.study)}</b>: headline changes since the base model</p>{notice}{table}"


def _as_text(messages: Any) -> str:
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)


def _leading(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """The frame with the documented columns first, then those that only this study has."""
    first = [name for name in MEANINGS[table] if name in frame]
    return frame[[*first, *(name for name in frame if name not in first)]]


def _escaped(text: str) -> str:
    from markupsafe import escape

    return str(escape(text))
