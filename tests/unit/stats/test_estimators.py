"""Each statistic against numbers worked out by hand, and its influences against the jackknife."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustdag.stats.estimators import PARTS, Sample, paired_parts, parts
from trustdag.stats.intervals import difference, estimate

STATISTICS = sorted(PARTS)
NAN = float("nan")


def sample_of(values: Any, labels: Any = None, clusters: Any = None) -> Sample:
    values = np.array(values, dtype=float)
    labels = np.full(len(values), NAN) if labels is None else np.array(labels, dtype=float)
    clusters = np.arange(len(values)) if clusters is None else np.array(clusters)
    return Sample(values, labels, clusters, int(clusters.max()) + 1 if len(clusters) else 1)


def value_of(statistic: str, sample: Sample) -> float:
    return estimate(statistic, sample).value


@pytest.mark.parametrize(
    ("statistic", "values", "labels", "expected"),
    [
        ("mean", [0, 1, 1, 0.5], None, 0.625),
        ("ratio", [1, 0, 0, 1], [1, 1, 0, 1], 2 / 3),
        ("difference", [1, 1, 0, 0, 1], [1, 1, 1, 0, 0], 2 / 3 - 1 / 2),
        ("balanced_accuracy", [1, 1, 1, 0], [0, 0, 1, 1], 0.75),
        # 3 positives, 2 negatives: of the 6 pairs 4 are ranked rightly and 1 is a tie.
        ("auroc", [0.9, 0.4, 0.2, 0.4, 0.1], [1, 1, 1, 0, 0], 4.5 / 6),
        ("auroc", [0.5, 0.5, 0.5], [1, 0, 0], 0.5),
        # Bins [.1, .2) and [.8, .9): |(.15 + .15) - 1| and |(.85 + .85) - 2|, over 4.
        ("ece", [0.15, 0.15, 0.85, 0.85], [1, 0, 1, 1], (0.7 + 0.3) / 4),
        ("ece", [1.0, 0.0], [1, 0], 0.0),
    ],
)
def test_known_answers(statistic: str, values: list[float], labels: list[int] | None, expected: float) -> None:
    assert value_of(statistic, sample_of(values, labels)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("statistic", ["difference", "balanced_accuracy", "auroc"])
def test_a_statistic_of_two_classes_is_undefined_with_one(statistic: str) -> None:
    assert np.isnan(value_of(statistic, sample_of([1, 0, 1], [1, 1, 1])))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_no_records_give_no_number(statistic: str) -> None:
    assert np.isnan(value_of(statistic, sample_of([])))


def test_a_ratio_over_nothing_is_undefined() -> None:
    assert np.isnan(value_of("ratio", sample_of([0, 0], [0, 0])))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_influences_are_what_leaving_a_cluster_out_changes(statistic: str) -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(2, size=400)
    sample = sample_of(np.clip(labels * 0.2 + generator.random(400) * 0.8, 0, 1), labels, np.arange(400) // 4)
    members = parts(statistic, sample)
    influences = np.sum([part.coefficient * part.influences for part in members], axis=0)

    without = [value_of(statistic, sample.only(sample.clusters != cluster)) for cluster in range(100)]

    # The jackknife: to first order, a cluster's influence is the value with it less the value without it. Of a ranking,
    # each half of the influences is of one class and has its own factor for few clusters.
    jackknife = value_of(statistic, sample) - np.array(without)
    assert influences.sum() == pytest.approx(0, abs=1e-9)
    assert np.corrcoef(influences, jackknife)[0, 1] > 0.99
    assert influences.std() == pytest.approx(jackknife.std(), rel=0.06)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_order_of_records_does_not_matter(statistic: str) -> None:
    generator = np.random.default_rng(1)
    sample = sample_of(generator.random(40).round(1), generator.integers(2, size=40), np.repeat(np.arange(10), 4))
    order = generator.permutation(40)
    shuffled = Sample(sample.values[order], sample.labels[order], sample.clusters[order], sample.count)

    assert estimate(statistic, sample).interval(0.95) == pytest.approx(estimate(statistic, shuffled).interval(0.95))


@pytest.mark.parametrize("statistic", STATISTICS)
@given(seed=st.integers(0, 1000))
def test_a_paired_difference_is_that_of_the_two_values(statistic: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = np.arange(20) % 2
    ours, theirs = (sample_of(generator.random(20).round(1), labels, np.arange(20) // 2) for _ in range(2))

    change = difference(statistic, ours, theirs)

    assert change.value == pytest.approx(value_of(statistic, ours) - value_of(statistic, theirs), abs=1e-9)


def test_a_paired_ratio_is_over_the_items_that_both_denominators_count() -> None:
    # Both are able on the last two items alone: there, one of two leaks against none.
    ours, theirs = sample_of([1, 1, 1, 0], [1, 1, 1, 1]), sample_of([0, 0, 0, 0], [0, 0, 1, 1])

    assert difference("ratio", ours, theirs).value == 0.5


def test_an_unknown_statistic_is_an_error() -> None:
    with pytest.raises(KeyError, match="median"):
        parts("median", sample_of([1]))


def weighted(values: list[float], weights: list[float] | None) -> Sample:
    """Each item is its own cluster."""
    shares = None if weights is None else np.array(weights)
    return Sample(np.array(values), np.full(len(values), NAN), np.arange(len(values)), len(values), None, shares)


def test_an_item_of_which_one_sample_in_ten_was_read_counts_as_a_tenth() -> None:
    (mean,) = parts("mean", weighted([1.0, 0.0, 0.0], [0.1, 1.0, 0.9]))
    assert mean.value == pytest.approx(0.1 / 2.0)


def test_a_pair_counts_by_the_share_of_pairs_of_samples_that_were_read() -> None:
    # Given a rise that rests on .5 x .2 of the pairs of samples, and an item without a change
    ours, theirs = weighted([1.0, 0.0], [0.5, 1.0]), weighted([0.0, 0.0], [0.2, 1.0])
    # Then the mean change is that item's share of all pairs, and levels and change add up
    rise, fall = paired_parts("mean", ours, theirs)
    assert rise.value - fall.value == pytest.approx(0.1 / 1.1)
    levels = [parts("mean", one.paired_with(other))[0].value for one, other in ((ours, theirs), (theirs, ours))]
    assert levels[0] - levels[1] == pytest.approx(0.1 / 1.1)


def test_equal_weights_are_no_weights() -> None:
    values = [1.0, 0.0, 1.0, 1.0, 0.0]
    (plain,), (equal,) = parts("mean", weighted(values, None)), parts("mean", weighted(values, [0.3] * 5))
    assert equal.value == plain.value
    assert equal.influences == pytest.approx(plain.influences)
    assert equal.spread.design == pytest.approx(plain.spread.design)
