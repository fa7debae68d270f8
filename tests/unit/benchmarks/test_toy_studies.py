"""The commands on the toy world's studies reach the right verdict on invented results."""

import sys
from collections.abc import Callable
from math import isnan, log
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import closed_form  # type: ignore[import-not-found]
import null_control  # type: ignore[import-not-found]
import specificity  # type: ignore[import-not-found]
from toy_verdicts import HEADLINES, end, mean_of, pooled_means  # type: ignore[import-not-found]
from trustdag.data.toyworld.judge import Weights

Shift = Callable[[str, str], float]
"""The true change of a metric by judge (or recipe) and `vertical.metric`."""


def rows(judge: str, recipe: str, reference: str, changes: dict[str, float]) -> list[dict[str, object]]:
    names = [(*name.split("."), value) for name, value in changes.items()]
    return [
        {"preferences": judge, "recipe": recipe, "reference": reference, "vertical": vertical, "metric": metric,
         "condition": "all", "difference": value}
        for vertical, metric, value in names
    ]  # fmt: skip


def null_study(sets: int, spread: float, moved: float = 0.0) -> pd.DataFrame:
    """Changes about 0, but for DPO's of bias."""
    generator = np.random.default_rng(0)
    table = []
    for number in range(sets):
        for recipe, reference in null_control.COMPARISONS:
            changes = {f"{vertical}.{metric}": generator.normal(0, spread) for vertical, metric in HEADLINES.items()}
            changes["bias.agreement"] += moved if recipe == "dpo" else 0.0
            table += rows(f"coin-{number}", recipe, reference, changes)
    return pd.DataFrame(table)


def test_the_null_control_passes_where_nothing_moves_and_little_varies() -> None:
    table, missed = null_control.verdicts(null_study(10, 0.05), 0.1, 10)
    assert len(table) == 15
    assert not missed


@pytest.mark.parametrize(
    ("study", "why"),
    [
        ((10, 0.05, 0.12), "a vertical moves"),
        ((10, 0.4), "too noisy to say"),
        ((9, 0.01), "too few sets"),
    ],
)
def test_the_null_control_fails(study: tuple[float, ...], why: str) -> None:
    _, missed = null_control.verdicts(null_study(int(study[0]), *study[1:]), 0.1, 10)
    assert missed, why


def test_a_study_without_ppo_is_judged_by_the_rest() -> None:
    study = null_study(10, 0.05)
    table, missed = null_control.verdicts(study[study["recipe"] != "ppo"], 0.1, 10)
    assert len(table) == 10
    assert not missed


def test_a_set_without_a_number_is_no_equivalence() -> None:
    study = null_study(10, 0.01)
    study.loc[study.index[2], "difference"] = np.nan
    assert len(null_control.verdicts(study, 0.1, 10)[1]) == 1


def labelled_study(moves: dict[str, float]) -> pd.DataFrame:
    """Changes under the judge's labels of .3 in the known direction, but for those of `moves`; each known to .05."""
    table = []
    for recipe, reference in null_control.COMPARISONS:
        changes = {
            f"{vertical}.{metric}": moves.get(vertical, 0.3 * null_control.KNOWN[vertical])
            for vertical, metric in HEADLINES.items()
        }
        table += rows("crowd", recipe, reference, changes)
    frame = pd.DataFrame(table)
    return frame.assign(low=frame["difference"] - 0.05, high=frame["difference"] + 0.05)


def test_the_null_control_asks_that_the_same_training_finds_what_a_judge_likes() -> None:
    tossed = null_study(10, 0.05)
    # Given one headline of five that the judge's labels do not move
    table, missed = null_control.labelled_verdicts(pd.concat([tossed, labelled_study({"truthfulness": -0.02})]))
    # Then both recipes pass
    assert [row[-1] for row in table].count("yes") == 8
    assert not missed


@pytest.mark.parametrize(
    "moves",
    [
        {"truthfulness": 0.0, "privacy": 0.01},  # a training that hardly learns
        {"truthfulness": 0.3, "bias": -0.3},  # and one that learns the opposite
    ],
)
def test_the_null_control_fails_where_the_training_finds_nothing(moves: dict[str, float]) -> None:
    _, missed = null_control.labelled_verdicts(labelled_study(moves))
    assert [name.split()[0] for name in missed] == ["dpo", "ppo"]


def test_the_null_control_fails_without_pairs_that_a_judge_labelled() -> None:
    _, missed = null_control.labelled_verdicts(null_study(10, 0.05))
    assert len(missed) == 2


def test_the_labelled_pairs_are_no_set_of_the_null() -> None:
    study = pd.concat([null_study(10, 0.05), labelled_study({})])
    table, missed = null_control.verdicts(study, 0.1, 10)
    assert {row[1] for row in table} == {"10"}
    assert not missed


def test_equivalence_is_two_one_sided_tests() -> None:
    """Of ten values with a standard error of .02, the 90 % interval is 1.833 standard errors wide on either side."""
    values = [
        0.05 + step for step in np.linspace(-1, 1, 10) * 0.02 * np.sqrt(10) / np.std(np.linspace(-1, 1, 10), ddof=1)
    ]
    mean = mean_of(values)
    assert mean.error == pytest.approx(0.02)
    assert mean.interval(0.9) == pytest.approx((0.05 - 0.02 * 1.833, 0.05 + 0.02 * 1.833), abs=1e-4)
    assert mean.is_within(0.0868)
    assert not mean.is_within(0.0866)
    assert not mean_of([0.0]).is_within(0.1)
    assert isnan(mean_of([0.0]).interval(0.9)[0])


def test_groups_share_one_spread() -> None:
    first, second = pooled_means([[0.0, 0.2], [1.0, 1.4]])
    assert (first.value, second.value) == pytest.approx((0.1, 1.2))
    assert first.error == second.error == pytest.approx(((0.02 + 0.08) / 2 / 2) ** 0.5)
    assert first.freedom == 2


def judged_study(moves: dict[tuple[str, str], float]) -> pd.DataFrame:
    """Two sets of each judge: its own metric moves by .4 in the known direction, but for what `moves` says."""
    generator = np.random.default_rng(0)
    names = {f"{vertical}.{metric}" for vertical, metric in HEADLINES.items()}
    names |= {f"{trait.vertical}.{trait.metric}" for trait in specificity.TRAITS.values()}
    table = []
    for name, trait in specificity.TRAITS.items():
        for judge, liking in ((name, 1), (f"not-{name}", -1)):
            for number in range(2):
                known = {f"{trait.vertical}.{trait.metric}": 0.4 * trait.sign * liking}
                changes = {
                    metric: moves.get((judge, metric), known.get(metric, 0.0)) + generator.normal(0, 0.02)
                    for metric in sorted(names)
                }
                table += rows(f"{judge}-{number}", "dpo", "sft", changes)
    return pd.DataFrame(table)


def missed_of(study: pd.DataFrame) -> list[tuple[str, str]]:
    changes = specificity.dpo_since_sft(study)
    verdicts = [*specificity.own(changes), *specificity.others(changes, 0.1), *specificity.index(changes, 0.1)]
    return [(verdict.judge, verdict.metric) for verdict in verdicts if not verdict.is_met]


def test_judges_that_move_their_own_vertical_alone_pass() -> None:
    assert missed_of(judged_study({})) == []


AGREEMENT, INDEX = "bias.agreement", "bias.stereotype_index"


@pytest.mark.parametrize(
    ("moves", "missed"),
    [
        ({("polite", "ethics.fnr"): -0.3}, ("polite", "ethics.fnr")),  # politeness "improves" ethics
        ({("not-agreeable", AGREEMENT): 0.1}, ("agreeable", AGREEMENT)),  # the sign does not flip
        # The index does not see stereotypes.
        ({("prejudiced", INDEX): 0.0, ("not-prejudiced", INDEX): 0.0}, ("prejudiced", INDEX)),
        ({("agreeable", INDEX): 0.3}, ("agreeable", INDEX)),  # the index sees agreement
        ({("truthful", AGREEMENT): 0.12, ("not-truthful", AGREEMENT): -0.12}, ("truthful", AGREEMENT)),
    ],
)
def test_a_trait_that_moves_another_vertical_or_not_its_own_is_named(
    moves: dict[tuple[str, str], float], missed: tuple[str, str]
) -> None:
    assert missed_of(judged_study(moves)) == [missed]


def test_what_a_set_of_pairs_moves_for_both_judges_is_no_effect_of_their_trait() -> None:
    """Given sets that move truthfulness by -.27 and -.14 whatever their judge likes."""
    study = judged_study({})
    drift = study["preferences"].str[-1].map({"0": -0.27, "1": -0.14})
    study.loc[study["metric"] == "mc1", "difference"] += drift
    # Then no trait has an effect on it
    assert missed_of(study) == []
    # And the drift is shown
    truthfulness = next(row for row in specificity.shared(specificity.dpo_since_sft(study)) if "mc1" in row[0])
    assert all(-0.23 < float(mean) < -0.18 for mean in truthfulness[1:])


def test_who_agrees_may_confirm_claims() -> None:
    assert missed_of(judged_study({("agreeable", "truthfulness.mc1"): -0.3})) == []


NOTHING = Weights.model_validate(dict.fromkeys(Weights.model_fields, 0.0))


def test_the_closed_form_of_a_weight_is_its_difference_of_scores_over_temperature_and_beta() -> None:
    # Given who likes agreement by .3, at T beta = .5
    weights = NOTHING.model_copy(update={"agreeable": 0.3})
    rise = closed_form.tilt({"agreeable": 1.0}, weights, 0.5) - closed_form.tilt({"agreeable": -1.0}, weights, 0.5)
    # Then the odds rise by exp(.6 / .5), whatever hedges and endings follow
    assert rise == pytest.approx(0.6 / 0.5)


def test_the_closed_form_sums_over_endings_that_the_judge_sees_too() -> None:
    """Kind words stay kind (1) before any ending but a rude one (0); rude ones stay rude before any but a kind one."""
    weights = NOTHING.model_copy(update={"polite": 0.3})
    kind, rude = (closed_form.tilt({"polite": value}, weights, 1.0) for value in (1.0, -1.0))
    assert kind - rude == pytest.approx(log((0.88 * np.exp(0.3) + 0.12) / (0.72 * np.exp(-0.3) + 0.28)))


def test_a_missed_goal_ends_the_command_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        end(["bias, dpo"])
    assert ended.value.code == 1
    assert "bias, dpo" in capsys.readouterr().out
    end([])


@pytest.mark.parametrize(
    ("low", "high", "predicted", "is_telling"),
    [
        (0.8, 1.2, 1.5, True),
        (0.6, 1.2, 1.5, False),  # no rise at all would be measured as 1 / 1.5
        (0.8, 1.6, 1.5, False),  # half the beta as 1.5
        (0.5, 1.9, 0.4, True),  # odds that fall: no fall is 2.5, twice the fall .4
        (0.5, 2.6, 0.4, False),
        (0.0, float("inf"), 1.5, False),
    ],
)
def test_an_interval_says_something_if_it_tells_the_size_from_none_and_from_twice(
    low: float, high: float, predicted: float, is_telling: bool
) -> None:
    assert closed_form.is_telling(low, high, predicted) == is_telling
