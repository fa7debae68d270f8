"""Selects the part of a study to run first under a budget of GPU-hours: an integer program over the pending jobs.

    maximize    sum of weight(c) covered(c)          over the comparisons c
    subject to  covered(c) <= run(j)                 for each job j whose result c needs
                run(j)     <= run(k)                 for each job k that j needs: shared jobs count once
                sum of hours(j) run(j) <= budget     all variables 0 or 1

This is the precedence-constrained knapsack problem (project selection with a budget). CBC solves it. If its time is up,
the bound of the linear relaxation limits the distance of the plan from the optimum.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from trustdag.errors import UserError
from trustdag.layout import Results
from trustdag.settings import Section, Weight

if TYPE_CHECKING:
    from trustdag.stats.design import StudyDesign

SLACK = 1e-6
"""Tolerance of CBC's floating-point values, for integrality and for the budget."""


class PlanSettings(Section):
    """Weights in `trustdag plan`. The weight of a comparison is the product of all of these; the default is 1."""

    models: dict[str, Weight] = {}
    """Weight by model."""
    recipes: dict[str, Weight] = {}
    """Weight by recipe."""
    preferences: dict[str, Weight] = {}
    """Weight by preference set."""
    verticals: dict[str, Weight] = {}
    """Weight by vertical."""
    later_seeds: float = Field(0.5, gt=0, le=1)
    """Factor of the weight for each further seed: the second seed has this weight, the third its square, ..."""


@dataclass(frozen=True)
class Task:
    """A pending job for the plan."""

    id: int
    hours: float
    """GPU-hours."""
    needs: frozenset[int]
    """Pending jobs that it depends on."""


@dataclass(frozen=True)
class PlannedComparison:
    """A paired difference of the study: one policy against its reference, on one vertical."""

    name: str
    weight: float
    targets: tuple[str, ...]
    """The records that it compares."""
    needs: frozenset[int]
    """Pending jobs that make them; empty if they exist."""


@dataclass(frozen=True)
class Plan:
    """The selected jobs and comparisons."""

    covered: tuple[PlannedComparison, ...]
    run: frozenset[int]
    hours: float
    value: float
    bound: float
    """Upper bound of the value of a plan within the budget."""

    @property
    def proven(self) -> bool:
        """Whether this plan is proven optimal."""
        return self.bound - self.value <= SLACK * max(1.0, self.value)


def choose(tasks: Sequence[Task], comparisons: Sequence[PlannedComparison], budget: float, seconds: float = 60) -> Plan:
    """The plan with the largest value, and the cheapest of those.

    Raises UserError for a negative budget, and ValueError if a comparison or a task needs an unknown task.

    Args:
        tasks: the pending jobs.
        comparisons: the comparisons, with their weights and jobs.
        budget: budget in GPU-hours.
        seconds: time limit of the solver.
    """
    if budget < 0:
        raise UserError(f"--gpu-hours: {budget:g} is negative")
    known = {task.id for task in tasks}
    for need in [*(task.needs for task in tasks), *(comparison.needs for comparison in comparisons)]:
        if not need <= known:
            raise ValueError(f"unknown tasks: {sorted(need - known)}")
    wanted = tasks_needed(tasks, comparisons)
    if not wanted:
        value = sum(comparison.weight for comparison in comparisons)
        return Plan(tuple(comparisons), frozenset(), 0.0, value, value)
    best = _Program([task for task in tasks if task.id in wanted], comparisons, budget)
    bound = best.relaxed_bound()
    proven = best.solve(seconds)
    covered = best.covered()
    value = sum(comparison.weight for comparison in covered)
    # Among plans with the same value, the cheapest. It is found quickly, as the first solution is one of them.
    best.cheapen(value)
    best.solve(seconds)
    covered = best.covered() if sum(comparison.weight for comparison in best.covered()) >= value - SLACK else covered
    run = tasks_needed(tasks, covered)
    hours = sum(task.hours for task in tasks if task.id in run)
    return Plan(tuple(covered), run, hours, value, value if proven else bound)


def tasks_needed(tasks: Sequence[Task], comparisons: Sequence[PlannedComparison]) -> frozenset[int]:
    """All tasks that the comparisons depend on, directly or not."""
    by_id = {task.id: task for task in tasks}
    needed: set[int] = set()
    waiting = [need for comparison in comparisons for need in comparison.needs]
    while waiting:
        task = waiting.pop()
        if task not in needed:
            needed.add(task)
            waiting.extend(by_id[task].needs)
    return frozenset(needed)


class _Program:
    """The integer program in PuLP."""

    def __init__(self, tasks: Sequence[Task], comparisons: Sequence[PlannedComparison], budget: float) -> None:
        import pulp

        self.pulp, self.comparisons, self.tasks = pulp, comparisons, tasks
        self.problem = pulp.LpProblem("plan", pulp.LpMaximize)
        self.run = {task.id: pulp.LpVariable(f"run_{task.id}", cat="Binary") for task in tasks}
        self.cover = [pulp.LpVariable(f"covered_{index}", cat="Binary") for index in range(len(comparisons))]
        self.hours = pulp.lpSum(task.hours * self.run[task.id] for task in tasks)
        self.value = pulp.lpSum(comparison.weight * self.cover[index] for index, comparison in enumerate(comparisons))
        self.problem += self.value
        if any(task.hours for task in tasks):
            self.problem += self.hours <= budget
        for task in tasks:
            for need in task.needs:
                self.problem += self.run[task.id] <= self.run[need]
        for index, comparison in enumerate(comparisons):
            for need in comparison.needs:
                self.problem += self.cover[index] <= self.run[need]

    def relaxed_bound(self) -> float:
        """The optimum of the linear relaxation, an upper bound of all plans."""
        relaxed = self.problem.copy()
        self._run_cbc(relaxed, mip=False)
        return float(self.pulp.value(relaxed.objective) or 0.0)

    def cheapen(self, value: float) -> None:
        """Changes the objective to the least hours with a value of at least `value`."""
        self.problem += self.value >= value - SLACK
        self.problem.sense = self.pulp.LpMinimize
        self.problem.setObjective(self.hours)

    def solve(self, seconds: float) -> bool:
        """Solves the program. Returns whether CBC proved the optimum within its time."""
        self._run_cbc(self.problem, timeLimit=seconds, gapRel=0)
        return bool(self.problem.sol_status == self.pulp.LpSolutionOptimal)

    def _run_cbc(self, problem: Any, **options: Any) -> None:
        solver = self.pulp.PULP_CBC_CMD(msg=False, **options)
        # PuLP does not remove its files if CBC fails or is interrupted.
        with tempfile.TemporaryDirectory(prefix="trustdag-plan-") as folder:
            solver.tmpDir = folder
            problem.solve(solver)

    def covered(self) -> list[PlannedComparison]:
        """The comparisons of the last solution."""
        values = [variable.value() or 0.0 for variable in self.cover]
        return [comparison for comparison, value in zip(self.comparisons, values, strict=True) if value > 0.5]


# --- From a study ---


def comparisons_of(
    design: "StudyDesign", settings: PlanSettings, files: Results, makers: Mapping[str, int]
) -> list[PlannedComparison]:
    """Every paired difference of a study: each policy with its base model and its SFT, on each vertical.

    Args:
        design: The study's policies and verticals.
        settings: Weights of comparisons.
        files: The study's files.
        makers: The pending job that makes a file, by the file's name.
    """
    seeds = sorted({policy.seed for policy in design.policies if policy.seed is not None})
    comparisons = []
    for policy in design.policies:
        for reference in (policy.reference_base, policy.reference_sft, policy.reference_control):
            if reference is None:
                continue
            for vertical in design.verticals:
                targets = tuple(files.records(name, vertical) for name in (policy.id, reference))
                comparisons.append(
                    PlannedComparison(
                        name=f"{policy.id} against {reference} on {vertical}",
                        weight=_weight(settings, policy, vertical, seeds),
                        targets=targets,
                        needs=frozenset(makers[name] for name in targets if name in makers),
                    )
                )
    return comparisons


def _weight(settings: PlanSettings, policy: Any, vertical: str, seeds: Sequence[int]) -> float:
    later = seeds.index(policy.seed) if policy.seed is not None else 0
    return (
        settings.models.get(policy.model, 1.0)
        * settings.recipes.get(policy.recipe, 1.0)
        * settings.preferences.get(policy.preferences or "", 1.0)
        * settings.verticals.get(vertical, 1.0)
        * settings.later_seeds**later
    )
