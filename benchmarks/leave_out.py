"""Leave-one-out and brittleness: what happens to a number when single pairs, or the first k of a ranking, are left out?

    python benchmarks/leave_out.py results/demo --config config/demo.yaml --start toy/base --verticals bias --pairs 400

takes a finished study and trains the policy's last stage on some of its pairs. First it leaves out single pairs, drawn
at random: Spearman's correlation of their scores with what each of them did, by retraining in place and in double
precision, with a bootstrap interval. Then it leaves out the first k pairs of each ranking, in the direction of the
vertical's change: the number that is left, in place, beside that without as many pairs at random.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from retraining import World, parser_of, print_table, spearman_interval, world_from

Ranked = dict[str, np.ndarray]
"""By ranking, numbers of the pairs, the first to go first."""


def in_double_precision(world: World) -> World:
    """The same stage: the effect of one pair is near the rounding of single precision."""
    subject = world.subject.in_double_precision()
    return replace(world, subject=subject, replay=subject.replay())


def effects_of_one(world: World, pairs: np.ndarray) -> dict[str, np.ndarray]:
    """What each of the pairs did to each number: its value with all pairs less that without the pair.

    Args:
        world: The stage.
        pairs: Numbers of the pairs.
    """
    world.train()
    whole = world.measure()
    everything = np.arange(len(world.replay.examples))
    left = []
    for pair in pairs:
        world.trainings(np.delete(everything, pair))["in place"]()
        left.append(world.measure())
    return {name: np.array([value - row[name] for row in left]) for name, value in whole.items()}


def brittleness(
    world: World, vertical: str, ranked: dict[str, np.ndarray], drops: list[int]
) -> Iterator[dict[str, Any]]:
    """The number without the first k pairs of each ranking.

    Args:
        world: The stage.
        vertical: The number's vertical.
        ranked: The rankings.
        drops: The k.
    """
    for dropped in drops:
        line: dict[str, Any] = {"vertical": vertical, "dropped": dropped}
        for name, order in ranked.items():
            world.trainings(np.sort(order[dropped:]))["in place"]()
            line[name] = world.measure()[vertical]
        yield line


def main() -> None:
    """Prints both tables."""
    parser = parser_of(__doc__)
    parser.add_argument("--single", type=int, default=20, help="how many pairs are left out one by one")
    parser.add_argument("--drops", type=int, nargs="+", default=[4, 8, 16, 32, 64], help="pairs dropped together")
    parser.add_argument("--rankings", nargs="+", default=["unrolled", "ekfac", "bm25", "random"])
    arguments = parser.parse_args()
    world = world_from(arguments, seed=0)
    scores, after = world.scores(arguments.methods), world.measure()
    world.untrain()
    before = world.measure()
    pairs = np.sort(np.random.default_rng(0).permutation(len(world.replay.examples))[: arguments.single])
    effects = effects_of_one(in_double_precision(world), pairs)
    lines = []
    for vertical, effect in effects.items():
        for name, by_vertical in scores.items():
            value, low, high = spearman_interval(by_vertical[vertical][pairs], effect)
            lines.append({"vertical": vertical, "method": name, "spearman": value, "low": low, "high": high})
    print_table(lines)
    for vertical in world.numbers:
        sign = np.sign(after[vertical] - before[vertical])
        ranked = {name: np.argsort(-sign * scores[name][vertical]) for name in arguments.rankings if name in scores}
        print_table([{"vertical": vertical, "start": before[vertical], "all pairs": after[vertical]}])
        print_table(brittleness(world, vertical, ranked, arguments.drops))


if __name__ == "__main__":
    main()
