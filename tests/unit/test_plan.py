"""The plan under a budget, against brute force on small DAGs."""

from itertools import chain, combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustdag.errors import UserError
from trustdag.layout import Results
from trustdag.plan import PlannedComparison, PlanSettings, Task, choose, comparisons_of, tasks_needed
from trustdag.stats.design import Policy, StudyDesign

Problem = tuple[list[Task], list[PlannedComparison], float]
"""Tasks, comparisons and the budget in hours."""


def task(number: int, hours: float, *needs: int) -> Task:
    return Task(number, hours, frozenset(needs))


def comparison(name: str, weight: float, *needs: int) -> PlannedComparison:
    return PlannedComparison(name, weight, (), frozenset(needs))


def by_force(tasks: list[Task], comparisons: list[PlannedComparison], budget: float) -> tuple[float, float]:
    """The best value, and the least hours at which it is had, over every set of comparisons."""
    hours = {each.id: each.hours for each in tasks}
    best = (0.0, 0.0)
    for chosen in chain.from_iterable(combinations(comparisons, count) for count in range(len(comparisons) + 1)):
        cost = sum(hours[each] for each in tasks_needed(tasks, chosen))
        value = sum(each.weight for each in chosen)
        if cost <= budget and (value, -cost) > (best[0], -best[1]):
            best = (value, cost)
    return best


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Whole numbers, so that equal sums are equal."""
    count = draw(st.integers(1, 7))
    tasks = [
        task(
            number, draw(st.integers(0, 9)), *(draw(st.sets(st.integers(0, number - 1), max_size=2)) if number else ())
        )
        for number in range(count)
    ]
    comparisons = [
        comparison(str(index), draw(st.integers(1, 5)), *draw(st.sets(st.integers(0, count - 1), max_size=3)))
        for index in range(draw(st.integers(0, 6)))
    ]
    return tasks, comparisons, draw(st.integers(0, 30))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_the_plan_is_the_best_and_the_cheapest_of_the_best(problem: Problem) -> None:
    tasks, comparisons, budget = problem
    plan = choose(tasks, comparisons, budget)
    value, hours = by_force(tasks, comparisons, budget)
    assert plan.value == pytest.approx(value)
    assert plan.hours == pytest.approx(hours)
    assert plan.hours <= budget
    assert plan.proven


@settings(max_examples=30, deadline=None)
@given(problems())
def test_what_is_run_is_whole_and_covers_what_is_said(problem: Problem) -> None:
    tasks, comparisons, budget = problem
    plan = choose(tasks, comparisons, budget)
    assert all(each.needs <= plan.run for each in tasks if each.id in plan.run)
    assert all(each.needs <= plan.run for each in plan.covered)
    assert sum(each.weight for each in plan.covered) == pytest.approx(plan.value)


def test_a_shared_prefix_is_paid_once() -> None:
    """SFT costs 5, DPO and PPO 3 each: both comparisons cost 11, not 16."""
    tasks = [task(0, 5), task(1, 3, 0), task(2, 3, 0)]
    wanted = [comparison("dpo", 1, 1), comparison("ppo", 1, 2)]
    assert len(choose(tasks, wanted, 11).covered) == 2
    assert len(choose(tasks, wanted, 10).covered) == 1
    assert choose(tasks, wanted, 7).covered == ()


def test_weight_decides_between_equals() -> None:
    tasks = [task(0, 5), task(1, 5)]
    plan = choose(tasks, [comparison("a", 1, 0), comparison("b", 2, 1)], 5)
    assert [each.name for each in plan.covered] == ["b"]


def test_what_is_done_already_is_covered_for_nothing() -> None:
    plan = choose([task(0, 5)], [comparison("done", 1), comparison("pending", 1, 0)], 0)
    assert [each.name for each in plan.covered] == ["done"]
    assert plan.run == frozenset()


def test_no_time_to_prove_is_said_with_a_bound() -> None:
    tasks = [task(number, 1 + number % 7, *([number - 1] if number % 3 else [])) for number in range(200)]
    wanted = [comparison(str(number), 1 + number % 5, number, (number * 7) % 200) for number in range(200)]
    plan = choose(tasks, wanted, 150.5, seconds=60)
    assert plan.bound >= plan.value > 0
    assert plan.hours <= 150.5


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(UserError, match="--gpu-hours: -1 is negative"):
        choose([], [], -1)


def test_unknown_needs_are_a_bug() -> None:
    with pytest.raises(ValueError, match="unknown tasks"):
        choose([task(0, 1, 9)], [], 1)


def policy(recipe: str, seed: int, base: str | None = "m/base", sft: str | None = None) -> Policy:
    return Policy(
        id=f"m/hh/{recipe}/seed{seed}",
        model="m",
        preferences="hh",
        recipe=recipe,
        seed=seed,
        reference_base=base,
        reference_sft=sft,
        methods=(),
    )


BASE = Policy(id="m/base", model="m", recipe="base")
SFT = policy("sft", 3, base=None)


def test_a_studys_comparisons_are_its_policies_with_their_references() -> None:
    design = StudyDesign(
        study="s", notice="", policies=(BASE, SFT, policy("dpo", 3, sft=SFT.id)), verticals=("privacy",)
    )
    makers = {"r/records/m/hh/dpo/seed3/privacy.parquet": 7, "r/records/m/base/privacy.parquet": 2}
    comparisons = comparisons_of(design, PlanSettings(), Results("r"), makers)
    assert [each.needs for each in comparisons] == [frozenset({7, 2}), frozenset({7})]
    assert comparisons[0].name == "m/hh/dpo/seed3 against m/base on privacy"
    assert comparisons[1].targets == (
        "r/records/m/hh/dpo/seed3/privacy.parquet",
        "r/records/m/hh/sft/seed3/privacy.parquet",
    )


def test_weights_multiply_and_later_seeds_count_less() -> None:
    design = StudyDesign(
        study="s", notice="", policies=(BASE, policy("dpo", 3), policy("dpo", 8)), verticals=("privacy", "bias")
    )
    settings = PlanSettings(recipes={"dpo": 2}, verticals={"privacy": 3}, later_seeds=0.5)
    assert [each.weight for each in comparisons_of(design, settings, Results("r"), {})] == [6, 2, 3, 1]


def test_a_solver_that_fails_leaves_no_files_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pulp import PULP_CBC_CMD, PulpSolverError

    (tmp_path / "cbc").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "cbc").chmod(0o755)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(PULP_CBC_CMD, "pulp_cbc_path", str(tmp_path / "cbc"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    for variable in ("TMPDIR", "TMP"):
        monkeypatch.setenv(variable, str(tmp_path / "temporary"))

    with pytest.raises(PulpSolverError):
        choose([task(0, 1)], [comparison("a", 1, 0)], 1)

    assert list((tmp_path / "temporary").iterdir()) == []
