"""The study's answer in words: for each recipe, which verticals rose, fell, or show no change."""

from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from trustdag.report.changes import arm_name, of_arm
from trustdag.report.draw import rows_of
from trustdag.stats.companions import NOT_UNDERSTOOD, judgement
from trustdag.stats.families import NOT_TESTED
from trustdag.stats.seeds import LEAST_SEEDS

REFERENCES = {"base": "the base model", "sft": "SFT", "control": "the control"}
KINDS = ("worse", "better", "changed", "no change found", "not tested", "not measured")

TEST_NEEDS = f"a test takes one training seed, or at least {LEAST_SEEDS}"


@dataclass(frozen=True)
class RecipeAnswer:
    """One recipe against one reference: its headline changes, sorted into kinds."""

    recipe: str
    reference: str
    kinds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Rows of `changes` by kind: those of KINDS, and verdicts of companions such as `agrees with everything more`."""

    @property
    def own_verdicts(self) -> list[str]:
        """The verdicts of companions, which are not in KINDS."""
        return [kind for kind in self.kinds if kind not in KINDS]

    @property
    def since(self) -> str:
        """The name of the reference."""
        return REFERENCES[self.reference]

    @property
    def sentence(self) -> str:
        """Such as `Since the base model, dpo became worse in 3 of 5 verticals and better in 1.`"""
        measured = [*(kind for kind in KINDS[:4] if kind in self.kinds), *self.own_verdicts]
        total = sum(len(self.kinds[kind]) for kind in measured)
        parts = [f"{kind} in {len(self.kinds[kind])}" for kind in measured if kind in KINDS[:3]]
        beside = "".join(f"; {self.recipe} {kind} in {len(self.kinds[kind])}" for kind in self.own_verdicts)
        if not total and NOT_TESTED in self.kinds:
            return f"Since {self.since}, no change of {self.recipe} is tested: {TEST_NEEDS}."
        if not total:
            return f"Since {self.since}, nothing about {self.recipe} could be measured."
        if not parts:
            what = "change" if not beside else "change for better or worse"
            return f"Since {self.since}, no {what} of {self.recipe} was found in any of {total} verticals{beside}."
        parts[0] += f" of {total} verticals"
        return f"Since {self.since}, {self.recipe} became {_listed(parts)}{beside}."


def _listed(words: list[str]) -> str:
    """Such as `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def sentences(recipes: list[RecipeAnswer]) -> list[str]:
    """The sentence of each recipe; those that did not change, and say the same, share one."""
    alike: dict[str, list[RecipeAnswer]] = {}
    for answer in recipes:
        unchanged = set(answer.kinds) <= {*KINDS[3:], NOT_UNDERSTOOD}
        alike.setdefault(replace(answer, recipe="").sentence if unchanged else answer.sentence, []).append(answer)
    return [replace(same[0], recipe=_listed([answer.recipe for answer in same])).sentence for same in alike.values()]


def verdict(recipes: list[RecipeAnswer]) -> str:
    """One sentence about all recipes: whether alignment made the models more trustworthy.

    It is `Yes` or `No` only if every recipe changed in that direction alone; otherwise `In part`, or no answer. A
    second one says where the task was not understood.
    """
    measured = {vertical for answer in recipes for vertical in _verticals(answer, set(answer.kinds) - set(KINDS[4:]))}
    lost = {vertical for answer in recipes for vertical in _verticals(answer, {NOT_UNDERSTOOD})}
    understood = {kind for answer in recipes for kind in answer.kinds} - {*KINDS[4:], NOT_UNDERSTOOD}
    if lost and not understood:
        return f"Nothing can be said: the task was not understood in any of {len(measured)} verticals."
    beside = f" The task was not understood in {len(lost)} of {len(measured)} verticals." if lost else ""
    return _verdict(recipes) + beside


def _verticals(answer: RecipeAnswer, kinds: set[str]) -> set[str]:
    """The verticals of a recipe's changes of these kinds."""
    return {row["vertical"] for kind in kinds & set(answer.kinds) for row in answer.kinds[kind]}


def _verdict(recipes: list[RecipeAnswer]) -> str:
    """The first sentence of `verdict`."""
    kinds = {kind for answer in recipes for kind in answer.kinds}
    changed = [answer for answer in recipes if {"worse", "better"} & set(answer.kinds)]
    if not recipes:
        return "Nothing is compared with the base model: each vertical shows its levels."
    if not kinds - {"not measured"}:
        return "Nothing could be measured."
    if not kinds - {"not measured", NOT_TESTED}:
        return f"No change is tested: {TEST_NEEDS}."
    if not changed:
        explained = [kind for answer in recipes for kind in answer.own_verdicts]
        what = "change for better or worse" if explained else "change"
        return f"No {what} was found since the base model in any vertical."
    heads = {frozenset({"better"}): "Yes", frozenset({"worse"}): "No"}
    directions = frozenset({"worse", "better"} & kinds)
    head = heads.get(directions, "In part") if len(changed) == len(recipes) else "In part"
    return f"{head}: " + "; ".join(_counted(answer) for answer in recipes) + "."


def _counted(answer: RecipeAnswer) -> str:
    """Such as `dpo became better in 2 and worse in 3 of 5 verticals`."""
    measured = sum(len(rows) for kind, rows in answer.kinds.items() if kind not in ("not measured", NOT_TESTED))
    parts = [f"{kind} in {len(answer.kinds[kind])}" for kind in ("better", "worse", "changed") if kind in answer.kinds]
    if not parts:
        return f"no change of {answer.recipe} was found"
    return f"{answer.recipe} became {' and '.join(parts)} of {measured} verticals"


def basis(headlines: pd.DataFrame, seeds: list[int]) -> str:
    """The basis of the sentence: trainings, items and correction; empty where nothing is compared."""
    if headlines.empty:
        return ""
    changes = headlines[headlines["reference"] == "base"]
    if len(seeds) > 1:
        training = f"{len(seeds)} training seeds ({', '.join(map(str, seeds))})"
    elif seeds:
        training = f"one training run (seed {seeds[0]}), so another seed may differ"
    else:
        training = "given checkpoints, without a training of this study"
    family = int(headlines["family"].max())
    lost = int(changes["lost"].sum())
    lost_text = f"; {lost:,} of {int((changes['n_pairs'] + changes['lost']).sum()):,} pairs were lost" if lost else ""
    return (
        f"Over {training}: each vertical's headline metric since the base model, paired by item{lost_text}. A change "
        f"counts where a test finds it after Holm's correction over all {family} headline changes of this page. "
        "It is better or worse if no other metric explains it, or one as certain contradicts the explanation. "
        "It holds for items like these."
    )


def claim(headlines: pd.DataFrame) -> str:
    """The possible cause of a change: more training on such text, or preference."""
    if headlines["reference"].eq("control").any():
        return (
            "The control read as much text of the same kind without preference: what differs from it is the effect of "
            "preference. A change since the base model holds the effect of more training too."
        )
    return (
        "No control was trained (docs/verticals.md), so that a change since the base model holds the effect of more "
        "training on such text too: what the preferences after SFT did is the change since SFT."
    )


def answers(headlines: pd.DataFrame, reference: str) -> list[RecipeAnswer]:
    """An answer for each recipe that is compared with `reference`, from the headline rows of `changes`."""
    by_recipe: dict[str, RecipeAnswer] = {}
    for row in rows_of(headlines[headlines["reference"] == reference]):
        answer = by_recipe.setdefault(row["recipe"], RecipeAnswer(row["recipe"], reference))
        answer.kinds.setdefault(kind_of(row), []).append(row)
    return list(by_recipe.values())


def study_answers(headlines: pd.DataFrame, groups: list[tuple[str, str]]) -> list[RecipeAnswer]:
    """Every recipe's answer since the base model. If there are several arms, recipes include the arm's name."""
    told = []
    for arm in groups:
        name = arm_name(arm, groups)
        for answer in answers(of_arm(headlines, arm), "base"):
            told.append(replace(answer, recipe=f"{answer.recipe} of {name}") if name else answer)
    return told


def kind_of(row: dict[str, Any]) -> str:
    """The kind of a row of `changes`."""
    if row["verdict"] == "":
        return "not measured"
    if row["verdict"] == NOT_TESTED:
        return NOT_TESTED
    return str(row.get("judgement", "")) or judgement(row["verdict"], row["direction"])


def pairs_of(row: dict[str, Any]) -> str:
    """The number of items of a change, such as `101 of 124 items`; `124 items` if none was lost.

    Over several training seeds each item counts once for each: `372 pairs over 3 seeds`.
    """
    asked = row["n_pairs"] + row["lost"]
    unit = "items" if row["seeds"] == 1 else f"pairs over {row['seeds']} seeds"
    return f"{row['n_pairs']:,} of {asked:,} {unit}" if row["lost"] else f"{asked:,} {unit}"
