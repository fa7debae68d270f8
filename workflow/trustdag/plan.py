"""Which part of a study to run first under a budget of GPU-hours: an integer program over the pending jobs.

    maximise    sum of weight(c) covered(c)          over the comparisons c
    subject to  covered(c) <= run(j)                 for each job j whose result c needs
                run(j)     <= run(k)                 for each job k that j needs: what chains share is paid once
                sum of hours(j) run(j) <= budget     all variables 0 or 1

This is the precedence-constrained knapsack (project selection with a budget). Solved by CBC; where its time is up, the
bound of the linear relaxation says how far the plan can be from the best.
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
"""How far CBC's floating-point values may be from whole numbers, and sums from the budget."""


class PlanSettings(Section):
    """What a comparison is worth to `trustdag plan`: the product of its weights, 1 where none is given."""

    models: dict[str, Weight] = {}
    """Weight by model."""
    recipes: dict[str, Weight] = {}
    """Weight by recipe."""
    preferences: dict[str, Weight] = {}
    """Weight by preference set."""
    verticals: dict[str, Weight] = {}
    """Weight by vertical."""
    later_seeds: float = Field(0.5, gt=0, le=1)
    """A comparison at the second seed is worth this share of the one at the first, at the third its square, ..."""


@dataclass(frozen=True)
class Task:
    """A pending job, as far as a plan goes."""

    id: int
    hours: float
    """GPU-hours."""
    needs: frozenset[int]
    """Pending jobs that have to be done before."""


@dataclass(frozen=True)
class PlannedComparison:
    """A paired difference of the study: one policy against its reference, on one vertical."""

    name: str
    weight: float
    targets: tuple[str, ...]
    """The records that it compares."""
    needs: frozenset[int]
    """Pending jobs that make them; empty if they are there."""


@dataclass(frozen=True)
class Plan:
    """What to run."""

    covered: tuple[PlannedComparison, ...]
    run: frozenset[int]
    hours: float
    value: float
    bound: float
    """No plan within the budget is worth more than this."""

    @property
    def proven(self) -> bool:
        """Whether this is the best plan."""
        return self.bound - self.value <= SLACK * max(1.0, self.value)


def choose(tasks: Sequence[Task], comparisons: Sequence[PlannedComparison], budget: float, seconds: float = 60) -> Plan:
    """The plan that covers the most, and among those the cheapest.

    Raises UserError for a negative budget, and ValueError if a comparison or a task needs an unknown task.

    Args:
        tasks: what can be run.
        comparisons: what each comparison is worth and needs.
        budget: GPU-hours that may be spent.
        seconds: time for the solver.
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
    # Among plans of the same worth: the cheapest. It is found at once, since the first answer is one of them.
    best.cheapen(value)
    best.solve(seconds)
    covered = best.covered() if sum(comparison.weight for comparison in best.covered()) >= value - SLACK else covered
    run = tasks_needed(tasks, covered)
    hours = sum(task.hours for task in tasks if task.id in run)
    return Plan(tuple(covered), run, hours, value, value if proven else bound)


def tasks_needed(tasks: Sequence[Task], comparisons: Sequence[PlannedComparison]) -> frozenset[int]:
    """All tasks that the comparisons need, directly or not."""
    by_id = {task.id: task for task in tasks}
    found: set[int] = set()
    waiting = [need for comparison in comparisons for need in comparison.needs]
    while waiting:
        task = waiting.pop()
        if task not in found:
            found.add(task)
            waiting.extend(by_id[task].needs)
    return frozenset(found)


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
        """The optimum where jobs may be run in part: no whole plan is worth more."""
        relaxed = self.problem.copy()
        self._run_cbc(relaxed, mip=False)
        return float(self.pulp.value(relaxed.objective) or 0.0)

    def cheapen(self, value: float) -> None:
        """Asks for the least hours at which the plan is still worth `value`."""
        self.problem += self.value >= value - SLACK
        self.problem.sense = self.pulp.LpMinimize
        self.problem.setObjective(self.hours)

    def solve(self, seconds: float) -> bool:
        """Whether CBC proved the optimum within its time."""
        self._run_cbc(self.problem, timeLimit=seconds, gapRel=0)
        return bool(self.problem.sol_status == self.pulp.LpSolutionOptimal)

    def _run_cbc(self, problem: Any, **options: Any) -> None:
        solver = self.pulp.PULP_CBC_CMD(msg=False, **options)
        # PuLP leaves its files behind where CBC fails or is interrupted.
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
        settings: What a comparison is worth.
        files: The study's files.
        makers: The pending job that makes a file, by the file's name.
    """
    seeds = sorted({policy.seed for policy in design.policies if policy.seed is not None})
    found = []
    for policy in design.policies:
        for reference in (policy.reference_base, policy.reference_sft, policy.reference_control):
            if reference is None:
                continue
            for vertical in design.verticals:
                targets = tuple(files.records(name, vertical) for name in (policy.id, reference))
                found.append(
                    PlannedComparison(
                        name=f"{policy.id} against {reference} on {vertical}",
                        weight=_weight(settings, policy, vertical, seeds),
                        targets=targets,
                        needs=frozenset(makers[name] for name in targets if name in makers),
                    )
                )
    return found


def _weight(settings: PlanSettings, policy: Any, vertical: str, seeds: Sequence[int]) -> float:
    later = seeds.index(policy.seed) if policy.seed is not None else 0
    return (
        settings.models.get(policy.model, 1.0)
        * settings.recipes.get(policy.recipe, 1.0)
        * settings.preferences.get(policy.preferences or "", 1.0)
        * settings.verticals.get(vertical, 1.0)
        * settings.later_seeds**later
    )
