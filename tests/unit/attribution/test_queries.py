"""A query's weights are the derivatives of a vertical's metric, for replies and for options."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
import pytest

from trustdag.attribution.ppo import covariance_query, options_query, with_covariance
from trustdag.attribution.queries import VerticalReplies, build, contrast, group_of_clusters, jackknife
from trustdag.errors import UserError
from trustdag.stats.estimators import Sample, parts
from trustdag.verticals.base import Metric, Reading, Records, item_replies

MEAN = Metric("rude", "lower", "Replies that are rude", headline=True)
GAP = Metric("gap", "lower", "Rudeness of one class less that of the other", statistic="difference")
RATIO = Metric("share", "lower", "A ratio", statistic="ratio")


def items_of(count: int, options: tuple[str, ...] = ()) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item": [f"i{number}" for number in range(count)],
            "cluster": [f"c{number // 2}" for number in range(count)],
            "condition": "benign",
            "messages": [[{"role": "user", "content": f"Question {number}?"}] for number in range(count)],
            "options": [list(options)] * count,
            "generate": True,
            "kind": [float(number % 2) for number in range(count)],
        }
    )


def replies_of(texts: list[list[str]], logprobs: list[list[float]] | None = None) -> pd.DataFrame:
    """Sampled texts of each item, and log-probabilities of its options."""
    rows = [
        (f"i{item}", "generate", sample, text, -1.0, 2, True, "ok")
        for item, samples in enumerate(texts)
        for sample, text in enumerate(samples)
    ]
    rows += [
        (f"i{item}", "likelihood", option, f"option {option}", value, 2, True, "ok")
        for item, values in enumerate(logprobs or [])
        for option, value in enumerate(values)
    ]
    columns = ["item", "kind", "sample", "reply", "logprob", "tokens", "ended", "status"]
    return pd.DataFrame(rows, columns=columns)


def reader(items: pd.DataFrame) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A vertical that counts rude replies, and whether the first option is the likeliest; silent replies are unread."""

    def score(replies: pd.DataFrame) -> pd.DataFrame:
        records = Records([MEAN, GAP, RATIO])
        for asked in item_replies(items, replies):
            texts = [reply.text for reply in asked.replies]
            read = [float("rude" in text or text == "option 0") for text in texts if text != "silent"]
            reading = Reading(sum(read) / len(read)) if read else Reading(float("nan"), "unparsed")
            for metric in ("rude", "gap", "share"):
                records.add(
                    metric, asked.row, reading, label=1.0 + asked.row.kind if metric == "share" else asked.row.kind
                )
            if asked.logprobs:
                records.add("first", asked.row, Reading(float(np.argmax(asked.logprobs) == 0)))
        return records.frame()

    return score


def source_of(metric: Metric, items: pd.DataFrame, replies: pd.DataFrame) -> VerticalReplies:
    score = reader(items)
    return VerticalReplies("invented", metric, items, replies, score(replies), score)


def weights_of(source: VerticalReplies, wanted: str = "replies") -> pd.Series:
    texts = build(source, wanted, 2, 0).texts  # type: ignore[arg-type]
    return texts.set_index(["item", "sample"])["weight"]


def test_a_means_weights_are_the_deviations_from_it_over_the_items_that_were_read() -> None:
    items = items_of(4)

    weights = weights_of(source_of(MEAN, items, replies_of([["rude"], ["kind"], ["kind"], ["silent"]])))

    assert weights.to_dict() == pytest.approx({("i0", 0): (1 - 1 / 3) / 3, ("i1", 0): -1 / 9, ("i2", 0): -1 / 9})


@pytest.mark.parametrize("metric", [MEAN, GAP, RATIO])
def test_the_expected_weighted_score_is_the_derivative_of_the_expected_number(metric: Metric) -> None:
    # Given items whose replies are rude with known chances, on which the number's expectation depends
    items = items_of(6)
    logits = np.array([0.3, -0.5, 1.0, 0.1, -0.2, 0.6])

    def chances(values: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-values))

    def number(values: tuple[int, ...]) -> float:
        records = reader(items)(replies_of([["rude" if value else "kind"] for value in values]))
        chosen = records[records["metric"] == metric.name]
        sample = Sample(chosen["value"].to_numpy(), chosen["label"].to_numpy(), np.arange(6), 6)
        return sum(part.coefficient * part.value for part in parts(metric.statistic, sample))

    worlds = list(product((0, 1), repeat=6))

    def expectation(values: np.ndarray) -> float:
        chance = chances(values)
        return sum(np.prod(np.where(world, chance, 1 - chance)) * number(world) for world in worlds)

    # When the gradient of each world is averaged over all worlds
    estimate = np.zeros(6)
    for world in worlds:
        chance = chances(logits)
        probability = np.prod(np.where(world, chance, 1 - chance))
        if len(set(world)) == 1 and metric is not RATIO:
            continue  # every reply alike: all weights are 0
        source = source_of(metric, items, replies_of([["rude" if value else "kind"] for value in world]))
        texts = build(source, "replies", 2, 0).texts if _has_gradient(source) else None
        for row in [] if texts is None else texts.itertuples(index=False):
            place = int(str(row.item)[1:])
            estimate[place] += probability * float(row.weight) * (world[place] - chance[place])  # type: ignore[arg-type]
    # Then it is the derivative of the expectation, but for the share of an item in its own mean
    step = 1e-5
    slopes = np.array(
        [(expectation(logits + step * row) - expectation(logits - step * row)) / (2 * step) for row in np.eye(6)]
    )
    members = 3 if metric is GAP else 6
    assert estimate == pytest.approx(slopes * (members - 1) / members, rel=0.25 if metric is RATIO else 1e-5)


def _has_gradient(source: VerticalReplies) -> bool:
    try:
        build(source, "replies", 2, 0)
    except UserError:
        return False
    return True


def test_a_difference_leaves_out_items_that_one_of_the_two_did_not_answer() -> None:
    items = items_of(4)
    own = source_of(MEAN, items, replies_of([["rude"], ["kind"], ["rude"], ["silent"]]))
    reference = reader(items)(replies_of([["kind"], ["kind"], ["silent"], ["rude"]]))
    source = VerticalReplies("invented", MEAN, items, own.replies, own.records, own.score, reference)

    query = build(source, "replies", 2, 0)

    assert query.value == pytest.approx(0.5)
    assert query.texts.set_index("item")["weight"].to_dict() == pytest.approx({"i0": 0.25, "i1": -0.25})


def test_several_samples_of_an_item_share_its_weight() -> None:
    weights = weights_of(source_of(MEAN, items_of(2), replies_of([["rude", "kind"], ["kind", "kind"]])))

    assert weights.to_dict() == pytest.approx(
        {("i0", 0): 0.125, ("i0", 1): 0.125, ("i1", 0): -0.125, ("i1", 1): -0.125}
    )


def test_a_number_that_all_replies_share_has_no_gradient_and_the_message_says_what_to_do() -> None:
    source = source_of(MEAN, items_of(4), replies_of([["kind"]] * 4))

    with pytest.raises(UserError, match=r"every reply has the same rude \(0\).*`query: options`"):
        build(source, "auto", 2, 0)


def test_auto_takes_options_where_the_records_follow_from_them_and_where_all_replies_are_alike() -> None:
    items = items_of(4, ("option 0", "option 1"))
    mixed = replies_of([["rude"], ["kind"], ["kind"], ["kind"]], [[-1.0, -2.0]] * 4)
    alike = replies_of([["kind"]] * 4, [[-1.0, -2.0]] * 4)
    first = Metric("first", "lower", "The first option is the likeliest")

    assert build(source_of(MEAN, items, mixed), "auto", 2, 0).kind == "replies"
    assert build(source_of(MEAN, items, alike), "auto", 2, 0).kind == "options"
    assert build(source_of(first, items, mixed), "auto", 2, 0).kind == "options"


def test_options_weights_are_the_derivatives_of_the_mean_log_odds() -> None:
    items = items_of(3, ("option 0", "option 1", "option 2"))
    logprobs = np.array([[-1.0, -2.0, -3.0], [-0.5, -0.7, -4.0], [-2.0, -0.1, -5.0]])

    def query(values: np.ndarray) -> float:
        return build(source_of(MEAN, items, replies_of([["kind"]] * 3, values.tolist())), "options", 2, 0).value

    # Given that only the first option is rude, when the query is built
    weights = weights_of(source_of(MEAN, items, replies_of([["kind"]] * 3, logprobs.tolist())), "options")
    # Then its value is the mean of log p0 - log (p1 + p2), and its weights are that number's slopes
    assert query(logprobs) == pytest.approx(np.mean(logprobs[:, 0] - np.log(np.exp(logprobs[:, 1:]).sum(1))))
    for item, option in product(range(3), range(3)):
        step = np.zeros((3, 3))
        step[item, option] = 1e-5
        slope = (query(logprobs + step) - query(logprobs - step)) / 2e-5
        assert weights[(f"i{item}", option)] == pytest.approx(slope, rel=1e-5)


def test_a_ratio_of_options_is_refused() -> None:
    items = items_of(3, ("option 0", "option 1"))
    source = source_of(RATIO, items, replies_of([["kind"]] * 3, [[-1.0, -2.0]] * 3))

    with pytest.raises(UserError, match="share is a `ratio`, which has no log-odds"):
        build(source, "options", 2, 0)


def test_items_without_a_contrast_between_options_have_no_log_odds() -> None:
    assert contrast(np.array([-1.0, -2.0]), np.array([1.0, 1.0])) is None
    assert contrast(np.array([-1.0, float("nan")]), np.array([1.0, 0.0])) is None
    assert contrast(np.array([-1.0, -2.0]), np.array([float("nan"), 0.0])) is None


def test_a_metric_without_records_is_refused_with_those_that_there_are() -> None:
    source = source_of(Metric("unknown", "lower", "None"), items_of(2), replies_of([["rude"], ["kind"]]))

    with pytest.raises(UserError, match="no record of the metric `unknown`; there are gap, rude, share"):
        build(source, "replies", 2, 0)


def test_clusters_are_spread_evenly_over_groups_and_stay_whole() -> None:
    groups = group_of_clusters([f"c{number}" for number in range(7)], 3, 1)

    assert sorted(np.bincount(list(groups.values()))) == [2, 2, 3]


def test_the_jackknife_gives_the_deviation_of_a_sum_of_independent_pieces() -> None:
    pieces = np.random.default_rng(0).normal(2.0, 3.0, (20_000, 10))

    errors = jackknife(pieces)

    assert np.mean(errors**2) == pytest.approx(pieces.sum(1).var(), rel=0.05)


def test_ppos_weights_are_the_covariance_within_each_item_over_beta() -> None:
    # Given three replies to each of two items, and rewards
    items = items_of(2)
    replies = replies_of([["rude", "kind", "kind"], ["rude", "rude", "kind"]])
    source = source_of(MEAN, items, replies)
    # When the covariance with these rewards is taken
    query = covariance_query(source, 0.5, 2, 0)
    rewards = np.array([3.0, 1.0, 2.0, 0.0, 5.0, 1.0])
    ordered = query.texts.sort_values(["item", "sample"])
    change = float(ordered["weight"].to_numpy() @ rewards)
    # Then it is the mean over items of the sample covariance of deviations within each item, over beta.
    # A value's influence deviates from the mean over both items of the same sample.
    expected = 0.0
    values = np.array([[1, 0, 0], [1, 1, 0]], float)
    for own, reward in zip(values, rewards.reshape(2, 3), strict=True):
        influence = (own - values.mean(0)) / 2
        expected += np.cov(influence, reward)[0, 1] / 0.5
    assert change == pytest.approx(expected)
    assert with_covariance(query.__class__(**{**vars(query), "texts": ordered}), rewards, lambda item: item).value == (
        pytest.approx(expected)
    )


def test_ppo_of_replies_that_are_all_alike_has_no_text() -> None:
    source = source_of(MEAN, items_of(2), replies_of([["kind", "kind"], ["kind", "kind"]]))

    assert covariance_query(source, 1.0, 2, 0).texts.empty


def test_ppos_options_have_the_slopes_of_their_log_odds_over_beta() -> None:
    items = items_of(3, ("option 0", "option 1"))
    source = source_of(MEAN, items, replies_of([["kind"]] * 3, [[-1.0, -2.0]] * 3))

    plain, tilted = build(source, "options", 2, 0), options_query(source, 0.5, 2, 0)

    assert tilted.texts["weight"].to_numpy() == pytest.approx(plain.texts["weight"].to_numpy() / 0.5)
