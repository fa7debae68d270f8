"""Human labels of replies: reads and checks their files, and arranges labels by policy and item.

A person fills in a sheet, `NAME.csv`, which names neither policies nor the parser's readings. Its key, `NAME.key.csv`,
identifies the reply of each row and describes its draw.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trustdag.errors import UserError
from trustdag.layout import records_file
from trustdag.stamps import read_stamp
from trustdag.stats.estimators import Array
from trustdag.stats.label_files import key_of, sheets
from trustdag.stats.outcomes import NOT_LABELLED, OUTCOMES

SHEET_COLUMNS = ("id", "vertical", "question", "prompt", "reply", "answer")
KEY_COLUMNS = ("id", "vertical", "policy", "item", "samples", "stratum", "size", "replies")
"""`stratum`: the stratum of the item; `size`: number of items in it; `replies`: the SHA-256 of the file of replies."""
SHORT = {"y": "yes", "n": "no", "?": "unread", "d": "declined", "c": "conflicting"}
"""The keys of answers."""


@dataclass(frozen=True)
class Labels:
    """The labels of one vertical."""

    policies: dict[str, int]
    """The row of each policy."""
    items: NDArray[np.str_]
    """Labelled items, in sorted order."""
    outcomes: NDArray[np.int8]
    """(policies, items): index into OUTCOMES, or NOT_LABELLED."""
    strata: NDArray[np.intp]
    """(items,): index of each item's stratum."""
    sizes: Array
    """(items,): number of items in that stratum."""

    def of(self, policies: list[str], items: NDArray[np.str_]) -> tuple[NDArray[np.int8] | None, Array]:
        """Labels of some items.

        Args:
            policies: One policy, or two compared policies.
            items: The items.

        Returns:
            (policies, items): index into OUTCOMES, or NOT_LABELLED; None if a policy has no label at all.
            (items,): weight of each item that is labelled for all policies, and 0 for the others. The weight is the
            number of items in its stratum over the number of labelled ones.
        """
        weights = np.zeros(len(items))
        if any(policy not in self.policies for policy in policies):
            return None, weights
        rows = [self.policies[policy] for policy in policies]
        labelled = (self.outcomes[rows] != NOT_LABELLED).all(axis=0)
        counts = np.bincount(self.strata[labelled], minlength=int(self.strata.max()) + 1)
        own = np.where(labelled, self.sizes / np.maximum(counts[self.strata], 1), 0.0)
        places = np.minimum(np.searchsorted(self.items, items), len(self.items) - 1)
        known = self.items[places] == items
        outcomes = np.full((len(rows), len(items)), NOT_LABELLED, dtype=np.int8)
        outcomes[:, known] = self.outcomes[rows][:, places[known]]
        weights[known] = own[places[known]]
        return outcomes, weights


def outcome(answer: str) -> str:
    """The outcome of an answer, in OUTCOMES; empty without an answer. Raises KeyError for any other text."""
    word = answer.strip().lower()
    if word in ("", *OUTCOMES):
        return word
    return SHORT[word]


def read_sheet(path: Path) -> pd.DataFrame:
    """A sheet with its key, one row per reply, `answer` in OUTCOMES or empty.

    Raises UserError for another kind of file; it names file, row and remedy.
    """
    sheet, key = read_columns(path, SHEET_COLUMNS), read_columns(key_of(path), KEY_COLUMNS)
    doubled = sheet["id"][sheet["id"].duplicated()]
    if len(doubled):
        raise UserError(f"{path}: id {doubled.iloc[0]} stands twice; keep one of the rows")
    answers = []
    for row, answer in enumerate(sheet["answer"], start=2):
        try:
            answers.append(outcome(answer))
        except KeyError:
            choices = ", ".join((*SHORT, *OUTCOMES[:-1]))
            raise UserError(f"{path}: row {row}: answer `{answer}` is none of {choices}") from None
    known = sheet[["id"]].assign(answer=answers).merge(key, on="id", how="left", validate="one_to_one")
    strangers = known["policy"].isna()
    if strangers.any():
        raise UserError(f"{path}: id {known['id'][strangers].iloc[0]} is not in {key_of(path).name}; restore that file")
    return known.astype({"size": float})


def read_columns(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A CSV file of texts. Raises UserError where it is missing, is no CSV file, or lacks a column."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with `trustdag label`") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a CSV file of UTF-8 text ({str(error).splitlines()[0]})") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise UserError(f"{path}: no column `{missing[0]}`; restore it, or draw again with `trustdag label`")
    return table


def read_labels(path: Path, records_root: Path) -> dict[str, Labels]:
    """The labels of each vertical.

    Args:
        path: The sheet, or a folder of sheets.
        records_root: Folder of the present records. Their replies must be the labelled ones.

    Raises:
        UserError: A file is malformed, two sheets disagree, or replies have changed since they were labelled.
    """
    rows = pd.concat([read_sheet(sheet).assign(sheet=str(sheet)) for sheet in sheets(path)], ignore_index=True)
    rows = rows[rows["answer"] != ""]
    for (policy, vertical), group in rows.groupby(["policy", "vertical"], sort=False):
        _check_present(group, records_file(records_root, str(policy), str(vertical)))
    item = ["vertical", "policy", "item"]
    different = rows.groupby([*item, "samples"])["answer"].transform("nunique") > 1
    if different.any():
        first = rows[different].iloc[0]
        raise UserError(
            f"{first['sheet']}: {first['vertical']} item {first['item']} is answered in two ways; agree on one answer"
        )
    once = rows.drop_duplicates(item)
    return {str(vertical): _arranged(group) for vertical, group in once.groupby("vertical", sort=False)}


def _check_present(rows: pd.DataFrame, records: Path) -> None:
    if not records.is_file():
        return
    present = read_stamp(records).get("replies")
    if present is not None and (rows["replies"] != present).any():
        first = rows.iloc[0]
        raise UserError(
            f"{first['sheet']}: labels other {first['vertical']} replies of {first['policy']} than the study has now; "
            "draw replies again with `trustdag label`, or take the replies that were labelled"
        )


def _arranged(rows: pd.DataFrame) -> Labels:
    items, places = np.unique(rows["item"].to_numpy(dtype=str), return_inverse=True)
    policies = {policy: row for row, policy in enumerate(dict.fromkeys(rows["policy"]))}
    outcomes = np.full((len(policies), len(items)), NOT_LABELLED, dtype=np.int8)
    outcomes[rows["policy"].map(policies).to_numpy(), places] = [OUTCOMES.index(answer) for answer in rows["answer"]]
    strata, sizes = np.zeros(len(items), dtype=np.intp), np.zeros(len(items))
    strata[places] = np.unique(rows["stratum"].to_numpy(dtype=str), return_inverse=True)[1]
    sizes[places] = rows["size"].to_numpy(dtype=float)
    return Labels(policies, items, outcomes, strata, sizes)
