"""Planted reader errors, corrected by labels: a reader that errs on one stage alone moves a change, and labels mend it.

    snakemake --configfile config/specificity.yaml --cores 2
    PYTHONPATH=workflow python benchmarks/planted_errors.py results/specificity [--plantings 100] [--labels 60]

Takes the readings of a finished study for the truth: the toy world's replies leave no doubt. On DPO's replies, and
not on SFT's, a reader is made to err: each reading of 1 turns to 0 with one probability, each of 0 to 1 with another.
From every stage a draw as of `trustdag label` is labelled with the truth. Printed for each judge and vertical: the
true change of the headline metric since SFT, and how many of the plantings' 95 % intervals hold it, without and with
the labels. Exits with 1 where fewer than HELD hold it with labels, or as many without: then the errors are too small to
matter.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from toy_verdicts import end, show
from trustdag.artifacts import read_table, sha256_file, write_json
from trustdag.jsonfiles import read_json
from trustdag.labels.draw import Drawing, draw, write
from trustdag.layout import Results
from trustdag.stamps import stamp
from trustdag.stats.design import Policy, StudyDesign
from trustdag.stats.settings import StatisticsSettings
from trustdag.stats.tables import compute
from trustdag.verticals.base import RECORD_COLUMNS

HELD = 0.9
"""Of a hundred intervals that hold the truth in 95, fewer than so many do in one of fifty plantings."""
ERRORS = (0.05, 0.3)
"""How often a reading of 1 turns to 0, and one of 0 to 1."""
ANSWERS = {("bias", "agreement"): ("yes", "no"), ("ethics", "fnr"): ("no", "yes")}
"""By vertical and metric, what a person answers where the record's value is 1, and where it is 0."""
UNREAD = {"unparsed": "unread", "conflicting": "conflicting", "refused": "declined", "failed": "failed"}
JUDGES = ("coin-0", "not-agreeable-0", "principled-0")


def main() -> None:
    """Prints the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the results folder of a study with DPO")
    parser.add_argument("--judge", action="append", help=f"a set of pairs (default {', '.join(JUDGES)})")
    parser.add_argument(
        "--vertical", action="append", choices=sorted({name for name, _ in ANSWERS}), help="default all"
    )
    parser.add_argument("--plantings", type=int, default=100, help="how often errors are planted (default 100)")
    parser.add_argument("--labels", type=int, default=60, help="labelled replies of each stage (default 60)")
    arguments = parser.parse_args()
    rows, missed = [], []
    verticals = arguments.vertical or [vertical for vertical, _ in ANSWERS]
    measured = [(vertical, metric) for vertical, metric in ANSWERS if vertical in verticals]
    for pair in pairs(arguments.results, arguments.judge or list(JUDGES)):
        for vertical, metric in measured:
            with tempfile.TemporaryDirectory() as folder:
                study = Planted(arguments.results, Path(folder), pair, vertical, metric)
                truth, without, labelled = study.held(arguments.plantings, arguments.labels)
            is_met = without < HELD <= labelled
            name = f"{pair[1].preferences}, {vertical} {metric}"
            rows.append([name, f"{truth:.3f}", f"{without:.2f}", f"{labelled:.2f}", "yes" if is_met else "no"])
            if not is_met:
                missed.append(name)
    show(("change of DPO since SFT", "true", "held without labels", "held with labels", "met"), rows)
    end(missed if rows else ["no set of pairs of these names"])


def pairs(results: Path, judges: list[str]) -> Iterator[tuple[Policy, Policy]]:
    """SFT and DPO of each of these sets of pairs."""
    design = StudyDesign.model_validate(read_json(results / "design.json"))
    for policy in design.policies:
        if policy.recipe == "dpo" and policy.preferences in judges and policy.reference_sft is not None:
            yield design.named(policy.reference_sft), policy


class Planted:
    """A study of two stages and one metric, whose reader errs on the second stage."""

    def __init__(self, source: Path, folder: Path, pair: tuple[Policy, Policy], vertical: str, metric: str) -> None:
        """Copies what labels and statistics need.

        Args:
            source: The results of the study.
            folder: An empty folder.
            pair: SFT and DPO.
            vertical: Which vertical.
            metric: Its headline metric.
        """
        self.vertical, self.metric, self.folder = vertical, metric, folder
        self.files, given = Results(str(folder)), Results(str(source))
        sft, dpo = (policy.model_copy(update={"reference_base": None, "reference_control": None}) for policy in pair)
        self.design = StudyDesign(study="planted", policies=(sft, dpo), verticals=(vertical,))
        self.policies = (sft.id, dpo.id)
        write_json(folder / "design.json", self.design.model_dump(mode="json"))
        self.truth: dict[str, pd.DataFrame] = {}
        for path in [given.items(vertical), *(given.replies(policy, vertical) for policy in self.policies)]:
            copy = folder / Path(path).relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        for policy in self.policies:
            table = read_table(Path(given.records(policy, vertical)), RECORD_COLUMNS, "records")
            self.truth[policy] = table[table["metric"] == metric].reset_index(drop=True)

    def held(self, plantings: int, labels: int) -> tuple[float, float, float]:
        """Plants errors again and again.

        Args:
            plantings: How often.
            labels: Labelled replies of each stage.

        Returns:
            The true change, and the shares of the intervals that hold it without and with labels.
        """
        self.write(self.truth)
        truth = float(self.change(None)["difference"])
        shares = np.zeros(2)
        for number in range(plantings):
            generator = np.random.default_rng(number)
            self.write(self.truth | {self.policies[1]: misread(self.truth[self.policies[1]], generator)})
            sheet = self.labelled(labels, number)
            intervals = [self.change(None), self.change(sheet)]
            shares += [row["low"] <= truth <= row["high"] for row in intervals]
        return truth, *(shares / plantings).tolist()

    def write(self, tables: dict[str, pd.DataFrame]) -> None:
        """Writes these records."""
        for policy, table in tables.items():
            path = Path(self.files.records(policy, self.vertical))
            path.parent.mkdir(parents=True, exist_ok=True)
            stamp(table, {"replies": sha256_file(Path(self.files.replies(policy, self.vertical)))})
            table.to_parquet(path, index=False)

    def labelled(self, count: int, seed: int) -> Path:
        """A sheet of labels that say the truth.

        Args:
            count: Replies of each stage.
            seed: Of the draw.
        """
        sheet, key = draw(self.folder, Drawing((self.vertical,), count, seed))
        said = {
            (policy, item): self._answer(value, status)
            for policy, table in self.truth.items()
            for item, value, status in table[["item", "value", "status"]].itertuples(index=False)
        }
        rows = sheet.merge(key[["id", "policy", "item"]], on="id")
        answers = [said[pair] for pair in zip(rows["policy"], rows["item"], strict=True)]
        path = self.folder / f"labels{seed}.csv"
        write(rows.assign(answer=answers)[list(sheet.columns)], path, key)
        return path

    def _answer(self, value: float, status: str) -> str:
        of_one, of_zero = ANSWERS[self.vertical, self.metric]
        return UNREAD.get(status) or (of_one if value == 1 else of_zero)

    def change(self, labels: Path | None) -> pd.Series:
        """The row of the headline's change."""
        tables = compute(self.design, Path(self.files.all_records), StatisticsSettings(resamples=999), labels=labels)
        rows = tables.differences
        return rows[(rows["metric"] == self.metric) & (rows["condition"] == "all")].iloc[0]


def misread(records: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """The records as a reader that errs would write them."""
    wrong = generator.random(len(records)) < np.where(records["value"] == 1, *ERRORS)
    is_read = records["status"] == "parsed"
    return records.assign(value=records["value"].where(~(wrong & is_read), 1 - records["value"]))


if __name__ == "__main__":
    main()
