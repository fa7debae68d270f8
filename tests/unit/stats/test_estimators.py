"""Each statistic against numbers worked out by hand, and as a function of cluster weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustdag.stats.estimators import FROM_TOTALS, Sample, estimator

STATISTICS = [*FROM_TOTALS, "auroc"]
NAN = float("nan")


def sample_of(values, labels=None, clusters=None):
    values = np.array(values, dtype=float)
    labels = np.full(len(values), NAN) if labels is None else np.array(labels, dtype=float)
    clusters = np.arange(len(values)) if clusters is None else np.array(clusters)
    return Sample(values, labels, clusters, int(clusters.max()) + 1 if len(clusters) else 1)


def value_of(statistic, sample):
    return estimator(statistic, sample)(np.ones((1, sample.count)))[0]


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
def test_known_answers(statistic, values, labels, expected):
    assert value_of(statistic, sample_of(values, labels)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("statistic", ["difference", "balanced_accuracy", "auroc"])
def test_a_statistic_of_two_classes_is_undefined_with_one(statistic):
    assert np.isnan(value_of(statistic, sample_of([1, 0, 1], [1, 1, 1])))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_no_records_give_no_number(statistic):
    assert np.isnan(value_of(statistic, sample_of([])))


def test_a_ratio_over_nothing_is_undefined():
    assert np.isnan(value_of("ratio", sample_of([0, 0], [0, 0])))


@pytest.mark.parametrize("statistic", STATISTICS)
@given(data=st.data())
def test_a_weight_is_the_same_as_repeating_the_cluster(statistic, data):
    count = data.draw(st.integers(2, 12))
    grid = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    values = data.draw(st.lists(grid, min_size=count, max_size=count))
    labels = data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=count, max_size=count))
    clusters = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    weights = data.draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))
    sample = Sample(np.array(values), np.array(labels), np.array(clusters), 4)
    repeated = np.concatenate([np.repeat(i, weights[cluster]) for i, cluster in enumerate(clusters)]).astype(int)
    drawn = Sample(sample.values[repeated], sample.labels[repeated], sample.clusters[repeated], 4)

    weighted = estimator(statistic, sample)(np.array([weights], dtype=float))[0]

    assert weighted == pytest.approx(value_of(statistic, drawn), nan_ok=True, abs=1e-9)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_order_of_records_does_not_matter(statistic):
    generator = np.random.default_rng(1)
    sample = sample_of(generator.random(40).round(1), generator.integers(2, size=40), np.repeat(np.arange(10), 4))
    order = generator.permutation(40)
    shuffled = Sample(sample.values[order], sample.labels[order], sample.clusters[order], sample.count)
    weights = generator.integers(3, size=(20, 10)).astype(float)

    np.testing.assert_allclose(
        estimator(statistic, sample)(weights), estimator(statistic, shuffled)(weights), atol=1e-12
    )


def test_an_unknown_statistic_is_an_error():
    with pytest.raises(KeyError, match="median"):
        estimator("median", sample_of([1]))
