"""A killed attribution goes on from what it kept, and ends at the same scores."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from tests.support.attribution_study import POLICY, results_of, task_of
from tests.support.attribution_world import World
from tests.support.forks import FORKS
from trustdag.attribution.methods import method
from trustdag.attribution.problem import Problem, Scores
from trustdag.attribution.resume import KeptPassSums, PassSums, Sums
from trustdag.attribution.run import attribute
from trustdag.attribution.settings import MethodSettings
from trustdag.attribution.task import AttributionTask
from trustdag.attribution.views import ProjectedView
from trustdag.layout import Results

BLOCKS = [1.0, 2.0, 4.0, 8.0]


class CutError(Exception):
    """Stands for a kill."""


def add_until(last: float, seen: list[float]) -> Any:
    """Adds blocks up to one, at which the job is cut; notes the blocks that it saw."""

    def add(sums: Sums, block: float) -> None:
        if block > last:
            raise CutError
        seen.append(block)
        sums.setdefault("sum", torch.zeros(1)).add_(block)

    return add


def blocks_from(start: int) -> list[float]:
    return BLOCKS[start:]


def test_a_pass_that_was_cut_goes_on_after_its_last_kept_block(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a pass that was cut in its second block
    with pytest.raises(CutError):
        KeptPassSums(tmp_path, "key").total("pass", blocks_from, add_until(1, []))
    # When it is run again
    seen: list[float] = []
    sums = KeptPassSums(tmp_path, "key").total("pass", blocks_from, add_until(8, seen))
    # Then the first block is not added again, and the sum is that of all
    assert float(sums["sum"]) == 15
    assert seen == [2, 4, 8]
    assert "attribution: pass: goes on after block 1" in capsys.readouterr().err


def test_a_finished_pass_is_not_run_again(tmp_path: Path) -> None:
    KeptPassSums(tmp_path, "key").total("pass", blocks_from, add_until(8, []))

    sums = KeptPassSums(tmp_path, "key").total("pass", blocks_from, add_until(0, []))

    assert float(sums["sum"]) == 15


def test_sums_of_another_job_do_not_count(tmp_path: Path) -> None:
    KeptPassSums(tmp_path, "key").total("pass", blocks_from, add_until(8, []))
    seen: list[float] = []

    KeptPassSums(tmp_path, "other settings").total("pass", blocks_from, add_until(8, seen))

    assert seen == BLOCKS


@pytest.mark.parametrize("damage", ["cut short", "another number"])
def test_damaged_sums_do_not_count(tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    KeptPassSums(tmp_path, "key").total("pass", blocks_from, add_until(8, []))
    path = tmp_path / "pass.pt"
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        content = torch.load(path, weights_only=True)
        content["sums"]["sum"] += 1
        torch.save(content, path)

    sums = KeptPassSums(tmp_path, "key").total("pass", blocks_from, add_until(8, []))

    assert float(sums["sum"]) == 15
    assert "damaged; this pass starts again" in capsys.readouterr().err


def cut_problem(problem: Problem, last: int) -> Problem:
    """The problem, cut before the backward pass of that number."""
    count = iter(range(1_000_000))

    def values(*arguments: Any, of: Any, **options: Any) -> Tensor:
        if next(count) >= last:
            raise CutError
        return of(*arguments, **options)

    gradients = problem.gradients
    cut = replace(
        gradients,
        losses=lambda *arguments: values(*arguments, of=gradients.losses),
        curvature=lambda *arguments, **options: values(*arguments, of=gradients.curvature, **options),
    )
    return replace(problem, gradients=cut)


def problem_of(world: World, name: str, passes: PassSums) -> Problem:
    view = ProjectedView.of_layers(world.selection("dense").layers, 4, 0) if name == "projected" else None
    gradients = world.gradients("dense", block=1, view=view)
    generator = torch.Generator().manual_seed(1)
    vectors = {
        layer: torch.randn(2, size, generator=generator, dtype=torch.float64) for layer, size in gradients.sizes.items()
    }
    return Problem(gradients, lambda: vectors, passes=passes)


PASSES = {"dot": 1, "cosine": 1, "projected": 2, "datainf": 3, "ekfac": 3}
"""Passes over the pairs of each method."""


def lasts() -> Iterator[tuple[str, int]]:
    """Each method, cut in each of its passes."""
    for name, passes in PASSES.items():
        for number in range(passes):
            yield name, 6 * number + 3


@pytest.mark.parametrize(("name", "last"), list(lasts()))
def test_each_method_cut_in_each_of_its_passes_ends_at_the_same_scores(tmp_path: Path, name: str, last: int) -> None:
    # Given a method that was cut in the middle of one of its passes over six pairs
    world = World(tmp_path, "dpo")
    settings = MethodSettings(method=name)
    expected: Scores = method(name).score(problem_of(world, name, PassSums()), settings)  # type: ignore[arg-type]
    kept = KeptPassSums(tmp_path / "kept", "", saving_share=1)
    with pytest.raises(CutError):
        method(name).score(cut_problem(problem_of(world, name, kept), last), settings)  # type: ignore[arg-type]
    # When it goes on, and is allowed no more backward passes than were left
    left = PASSES[name] * 6 - last
    scores = method(name).score(cut_problem(problem_of(world, name, kept), left), settings)  # type: ignore[arg-type]
    # Then its scores are those of a job that was never cut, bit for bit
    for layer, table in expected.items():
        assert torch.equal(scores[layer], table)


def attribute_until_kept(task: AttributionTask, results: Results, kept: Path) -> None:
    """Attributes in a process that is killed at the first forward pass after the file was written."""

    def kill_when_kept(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if kept.exists():
            os.kill(os.getpid(), signal.SIGKILL)

    torch.nn.modules.module.register_module_forward_hook(kill_when_kept)
    attribute(task, results)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"method": "ekfac"}, "eigenvalues"),
        ({"method": "unrolled"}, "steps"),
        ({"method": "tracin", "checkpoints": 3}, "scores 1"),
    ],
)
def test_a_killed_job_goes_on_and_writes_the_same_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], kept: str
) -> None:
    # Given a job that was killed when it had kept something of a pass
    results: Results = results_of(tmp_path)
    table, folder = Path(results.attribution(POLICY, "bias")), Path(results.attribution(POLICY, "any")).parent
    task = task_of(block=4, **changes)
    attribute(task, results)
    expected = pd.read_parquet(table)
    table.unlink()
    file = folder / ".unfinished" / "0" / f"{kept}.pt"
    killed = FORKS.Process(target=attribute_until_kept, args=(task, results, file))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert not table.exists()
    capsys.readouterr()
    # When it runs again
    attribute(task, results)
    # Then it goes on from there, writes the same table, and leaves nothing else
    assert f"attribution: {kept}: " in capsys.readouterr().err
    pd.testing.assert_frame_equal(pd.read_parquet(table), expected)
    assert [path.name for path in folder.iterdir()] == ["bias.parquet"]
