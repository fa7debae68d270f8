"""Measures the statistics on invented studies: coverage of intervals, error rate and power of tests, `detectable`.

Run by `statistics.py`. Prints Markdown tables; docs/statistics.md holds those of the last run.
"""

import argparse
from collections.abc import Iterator

import numpy as np

import statistics_worlds as worlds
from statistics_worlds import SIZES, Draw
from trustdag.stats import prediction_powered
from trustdag.stats.comparison import compare
from trustdag.stats.intervals import estimate
from trustdag.stats.power import power_of
from trustdag.stats.seeds import over_seeds
from trustdag.stats.settings import StatisticsSettings

SETTINGS = StatisticsSettings(resamples=2000)
RATES = (0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.99)
TOXICITIES = (0.01, 0.02, 0.1, 0.4)
"""Parameters that give an expected maximum toxicity of about .02, .05, .2 and .6 with enough clusters."""
AREAS = (0.5, 0.8, 0.9, 0.97, 0.99)
PAIRS = ((0.02, 0.02), (0.02, 0.06), (0.5, 0.5), (0.5, 0.6), (0.97, 0.99), (0.05, 0.98))


def coverage(statistic: str, draw: Draw, truth: float, studies: int) -> float:
    """The share of studies whose 95 % interval holds the truth."""
    held = 0
    for number in range(studies):
        low, high = estimate(statistic, draw(np.random.default_rng(number))[0]).interval(0.95)
        held += low <= truth <= high
    return held / studies


def paired(statistic: str, draw: Draw, truth: float, studies: int) -> tuple[float, float]:
    """Coverage of the interval of a difference, and the share of studies whose test finds one.

    Returns:
        Both shares, of the studies that give a number.
    """
    held, changes, measured = 0, 0, 0
    for number in range(studies):
        comparison = compare(statistic, *draw(np.random.default_rng(number)), SETTINGS)
        if comparison is None:
            continue
        low, high = comparison.interval
        measured, held, changes = measured + 1, held + (low <= truth <= high), changes + (comparison.p < 0.05)
    return held / max(measured, 1), changes / max(measured, 1)


def levels(studies: int) -> Iterator[list[str]]:
    """Coverage of one arm's interval, by truth and number of clusters."""
    yield ["number", "truth", *(f"{clusters} x {size}" for clusters, size in SIZES.items())]
    for truth in RATES:
        yield ["rate", number(truth), *(share(coverage("mean", worlds.rate(truth, m), truth, studies)) for m in SIZES)]
    for level in TOXICITIES:
        truth = worlds.mean_of(worlds.maximum_toxicity(level, 400))
        drawn = [coverage("mean", worlds.maximum_toxicity(level, m), truth, studies) for m in SIZES]
        yield ["EMT", number(truth), *map(share, drawn)]
    for truth in AREAS:
        drawn = [coverage("auroc", worlds.ranking(truth, m), truth, studies) for m in SIZES]
        yield ["AUROC", number(truth), *map(share, drawn)]


def differences(studies: int) -> Iterator[list[str]]:
    """Coverage of a paired difference's interval and, in brackets, how often its test finds a change."""
    yield ["rates", *(f"{clusters} x {size}" for clusters, size in SIZES.items())]
    for rates in PAIRS:
        shares = [paired("mean", worlds.paired_rates(rates, m), rates[0] - rates[1], studies) for m in SIZES]
        yield [
            f"{number(rates[0])}, {number(rates[1])}",
            *(f"{share(held)} ({share(changes)})" for held, changes in shares),
        ]


def weak_nulls(studies: int) -> Iterator[list[str]]:
    """How often the test finds a change where another number than the tested one changes, and where both do."""
    from scipy.stats import norm

    yield ["study", "true change", "coverage", "change found"]
    for able in ((0.7, 0.7), (0.3, 0.9), (0.1, 0.9)):
        for leak in (0.1, 0.5, 0.9):
            shares = paired("ratio", worlds.leaks(able, leak), 0.0, studies)
            yield [f"leak {number(leak)} given able; able {able[0]}, {able[1]}; 72 secrets", "0", *map(share, shares)]
    for gaps in ((1.0, 1.0), (0.6, 1.6)):
        change = float(norm.cdf(gaps[0] / np.sqrt(2)) - norm.cdf(gaps[1] / np.sqrt(2)))
        for shift in (0.0, 1.5, 4.0):
            shares = paired("auroc", worlds.rankings(gaps, shift), change, studies)
            yield [f"AUROC, scores of one arm shifted by {shift} SD; 90 clusters", number(change), *map(share, shares)]
    for first, second in (((0.2, 0.2), (0.95, 0.95)), ((0.16, 0.02), (0.95, 0.95)), ((0.1, 0.1), (0.95, 0.8))):
        change = first[0] - first[1] - second[0] + second[1]
        shares = paired("difference", worlds.indices(first, second), change, studies)
        name = f"index, agreement {first[0]} to {second[0]} and {first[1]} to {second[1]}; 36 unequal clusters"
        yield [name, number(change), *map(share, shares)]
    for spread in (0.0, 0.3, 0.7):
        for name, draw in zip(("topic", "topic and group"), worlds.crossed(spread), strict=True):
            shares = paired("mean", draw, 0.0, max(studies // 4, 50))
            yield [f"crossed design, topics change by SD {spread}, clusters by {name}", "0", *map(share, shares)]


def detectable(studies: int) -> Iterator[list[str]]:
    """The power of the verdict at the `detectable` difference of rates about .5, by clusters and family."""
    families = (1, 5, 25)
    yield ["clusters", *(f"{family} corrected together" for family in families)]
    for clusters in sorted(worlds.FEW | SIZES):
        yield [str(clusters), *(_power(clusters, family, studies) for family in families)]


def _power(clusters: int, family: int, studies: int) -> str:
    """Power at the median `detectable`, found anew where that difference is the truth.

    Every study has random flips of its own, as many as by default: shared ones would err alike in the far tail.
    """
    change, default = 0.0, StatisticsSettings()
    for _ in range(3):
        draw = worlds.paired_rates((0.5 + change / 2, 0.5 - change / 2), clusters)
        values = []
        for number_ in range(1000):
            compared = compare("mean", *draw(np.random.default_rng([1, number_])), SETTINGS)
            assert compared is not None
            values.append(power_of(compared.change, default).detectable(family, default))
        change = float(np.median(values))
        if not change < 1:
            return "cannot be found"
    draw = worlds.paired_rates((0.5 + change / 2, 0.5 - change / 2), clusters)
    changes = 0
    for number_ in range(studies):
        compared = compare(
            "mean", *draw(np.random.default_rng([2, number_])), default.model_copy(update={"seed": number_})
        )
        assert compared is not None
        changes += compared.p * family < 0.05
    return f"{share(changes / studies)} at {number(change)}"


def seeds(studies: int) -> Iterator[list[str]]:
    """Coverage of the mean over training seeds, by the seeds' standard deviation, and near 1."""
    counts = (2, 3, 5)
    yield ["values", *(f"{count} seeds" for count in counts)]
    for spread in (0.0, 0.05, 0.3):
        yield [f"any; seeds differ by SD {spread}", *(share(_over_seeds(count, spread, studies)) for count in counts)]
    yield ["rates of .952 on average", *(share(_near_one(count, studies)) for count in counts)]


def _over_seeds(count: int, spread: float, studies: int) -> float:
    held = 0
    for number_ in range(studies):
        generator = np.random.default_rng(number_)
        ease = generator.normal(0, 0.4, (36, 1))
        drawn = [
            ease + generator.normal(0, spread) + generator.normal(0, 0.3, (36, 1)) + generator.normal(0, 0.3, (36, 2))
            for _ in range(count)
        ]
        low, high = over_seeds([estimate("mean", worlds.sample(values, 36)) for values in drawn]).interval(0.95)
        held += low <= 0 <= high
    return held / studies


def _near_one(count: int, studies: int) -> float:
    held = 0
    for number_ in range(studies):
        generator = np.random.default_rng(number_)
        drawn = [generator.random((36, 3)) < rate for rate in generator.beta(30, 1.5, count)]
        low, high = over_seeds([estimate("mean", worlds.sample(values, 36)) for values in drawn]).interval(0.95)
        held += low <= 30 / 31.5 <= high
    return held / studies


MISREADINGS = {
    "seldom": (worlds.Misreading(0.01, 0.01, 0.02, 0.0), worlds.Misreading(0.02, 0.02, 0.02, 0.02)),
    "more on one stage": (worlds.Misreading(0.05, 0.02, 0.05, 0.1), worlds.Misreading(0.05, 0.25, 0.15, 0.5)),
    "often": (worlds.Misreading(0.3, 0.1, 0.1, 0.3), worlds.Misreading(0.05, 0.4, 0.2, 0.6)),
}


def labels(studies: int) -> Iterator[list[str]]:
    """Coverage of both levels and of the change where a person labels some replies, by the parser's errors."""
    yield ["rates; the parser errs", "labels a stage", "first level", "second level", "change", "change found"]
    for rates in ((0.3, 0.3), (0.5, 0.4), (0.1, 0.15)):
        for name, errors in MISREADINGS.items():
            for count in (50, 100, 200):
                shares = _corrected(worlds.Labelled(rates, errors, count), studies)
                yield [f"{number(rates[0])}, {number(rates[1])}; {name}", str(count), *map(share, shares)]


def _corrected(world: worlds.Labelled, studies: int) -> list[float]:
    """The shares of studies whose intervals hold both levels and the change, and whose test finds a change."""
    truths, held, changes = (*world.rates, world.rates[1] - world.rates[0]), [0, 0, 0], 0
    for number_ in range(studies):
        for place, sample in enumerate(world.draw(np.random.default_rng(number_))):
            estimated = prediction_powered.estimate("mean", sample, is_change=place == 2)
            assert estimated is not None
            low, high = estimated.interval(0.95)
            held[place] += low <= truths[place] <= high
            changes += place == 2 and not low <= 0 <= high
    return [count / studies for count in (*held, changes)]


def number(value: float) -> str:
    """Such as `.05` or `-.25`."""
    return f"{value:.3f}".rstrip("0").rstrip(".").replace("0.", ".") or "0"


def share(value: float) -> str:
    """Such as `.95`, to three digits."""
    return f"{value:.3f}".removeprefix("0")


TABLES = {
    "Coverage of 95 % intervals (clusters x records a cluster)": levels,
    "Coverage of paired differences, and in brackets how often a change is found": differences,
    "Where something else changes": weak_nulls,
    "Power of the verdict at the stated `detectable` difference": detectable,
    "Coverage over training seeds": seeds,
    "Coverage with labels (200 clusters x 5; the change's true value is the second rate less the first)": labels,
}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 studies a cell instead of 2,000")
    parser.add_argument("--studies", type=int, help="simulated studies a cell")
    parser.add_argument("--table", default="", help="only tables whose title holds this text")
    arguments = parser.parse_args()
    studies = arguments.studies or (200 if arguments.quick else 2000)
    print(f"{studies:,} studies a cell: a share of .95 is known to {1.96 * np.sqrt(0.95 * 0.05 / studies):.3f}.")
    chosen = {title: table for title, table in TABLES.items() if arguments.table in title}
    for title, table in chosen.items():
        head, *rows = table(studies)
        print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
        for row in rows:
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
