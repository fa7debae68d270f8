"""Human labels of some replies correct the parser's readings of all replies."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from trustdag.stats.prediction_powered import LEAST_LABELS, LabelledSample, estimate

Arrays = tuple[np.ndarray, np.ndarray]


def arm(truth: Arrays, read: Arrays, chosen: np.ndarray, clusters: np.ndarray) -> LabelledSample:
    """What counts and its value, in truth and as read, with labels of the chosen items."""
    weights = np.where(chosen, len(chosen) / chosen.sum(), 0.0)
    counted, values = truth[0] * 1.0, truth[0] * truth[1] * 1.0
    nothing = np.full(len(chosen), np.nan)
    return LabelledSample(
        read[0] * 1.0, read[0] * read[1] * 1.0, nothing, clusters, int(clusters.max()) + 1,
        counted * chosen, values * chosen, weights,
    )  # fmt: skip


def study(number: int, labels: int = 150, clusters: int = 120, size: int = 6) -> tuple[LabelledSample, ...]:
    """Two stages that both agree with .3; of the second's yeses the parser misses a fifth and reads .4 as noes.

    Returns the second stage's level and the change from the first to it.
    """
    generator = np.random.default_rng([7, number])
    count = clusters * size
    of = np.repeat(np.arange(clusters), size)
    ease = generator.normal(size=clusters)[of]
    truth = [(ease + generator.normal(size=count)) / np.sqrt(2) < norm.ppf(0.3) for _ in range(2)]
    answers = [generator.random(count) > share for share in (0.05, 0.2)]
    read = []
    for yes, answer, flipped, lost in zip(truth, answers, (0.02, 0.4), (0.02, 0.2), strict=True):
        as_read = yes ^ (generator.random(count) < np.where(yes, flipped, 0.02))
        read.append((answer & ~(yes & (generator.random(count) < lost)), as_read))
    chosen = np.zeros(count, dtype=bool)
    chosen[generator.permutation(count)[:labels]] = True
    both, read_both = answers[0] & answers[1], read[0][0] & read[1][0]
    change = arm((both, truth[1] * 1.0 - truth[0]), (read_both, read[1][1] * 1.0 - read[0][1]), chosen, of)
    return arm((answers[1], truth[1]), read[1], chosen, of), change


def test_with_a_label_of_every_reply_the_parser_counts_for_nothing() -> None:
    level = study(0, labels=720)[0]

    for parser in (level, replace(level, values=1 - level.values)):
        estimated = estimate("mean", parser)
        assert estimated is not None
        assert estimated.value == pytest.approx(level.person_values.sum() / level.person_counted.sum())


def test_a_parser_without_errors_makes_the_interval_narrower_than_labels_alone() -> None:
    generator = np.random.default_rng(0)
    truth, of = generator.random(2000) < 0.4, np.arange(2000)
    chosen, all_count = of < 200, np.ones(2000, dtype=bool)
    powered = estimate("mean", arm((all_count, truth), (all_count, truth), chosen, of))
    alone = estimate("mean", arm((all_count, truth), (all_count, all_count), chosen, of))
    assert powered is not None
    assert alone is not None

    widths = [high - low for low, high in (powered.interval(0.95), alone.interval(0.95))]
    assert widths[0] < widths[1] / 2


def test_a_parser_that_knows_nothing_costs_nothing() -> None:
    generator = np.random.default_rng(1)
    truth, of = generator.random(2000) < 0.4, np.arange(2000)
    chosen, all_count = of < 200, np.ones(2000, dtype=bool)
    coin = generator.random(2000) < 0.5
    widths = []
    for read in (coin, all_count):
        estimated = estimate("mean", arm((all_count, truth), (all_count, read), chosen, of))
        assert estimated is not None
        widths.append(np.diff(estimated.interval(0.95))[0])

    assert widths[0] < widths[1] * 1.02


def test_too_few_labels_and_statistics_that_no_label_tells_give_no_number() -> None:
    level = study(0, labels=LEAST_LABELS - 1)[0]

    assert estimate("mean", level) is None
    assert estimate("auroc", study(0)[0]) is None


def test_the_limits_of_levels_and_changes_stay_within_their_range() -> None:
    for number in range(20):
        level, change = (
            estimate("mean", sample, is_change)
            for sample, is_change in zip(study(number, labels=20), (False, True), strict=True)
        )
        assert level is not None
        assert change is not None
        assert 0 <= level.interval(0.999999)[0] <= level.interval(0.999999)[1] <= 1
        assert -1 <= change.interval(0.999999)[0] <= change.interval(0.999999)[1] <= 1


def test_intervals_hold_the_truth_where_the_parser_errs_more_on_one_stage() -> None:
    held, significant, misled = np.zeros(2), 0, 0
    for number in range(300):
        level, change = study(number)
        estimates = estimate("mean", level), estimate("mean", change, is_change=True)
        for place, (estimated, truth) in enumerate(zip(estimates, (0.3, 0.0), strict=True)):
            assert estimated is not None
            low, high = estimated.interval(0.95)
            held[place] += low <= truth <= high
        assert estimates[1] is not None
        significant += estimates[1].p_value() < 0.05
        misled += change.values.sum() / change.counted.sum() < -0.05

    # 300 studies: the standard error of the share is .013.
    assert (held / 300 >= 0.92).all()
    assert (held / 300 <= 0.98).all()
    assert significant / 300 <= 0.08
    assert misled / 300 >= 0.95
