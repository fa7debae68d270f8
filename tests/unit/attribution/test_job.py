"""The job: from a study's results to a table of scores, on a tiny model; and that its losses are the trainers'."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support import tiny_models as tiny
from tests.support.attribution_study import POLICY, results_of, task_of
from tests.support.attribution_world import SETTINGS, World
from trustdag.align import methods
from trustdag.artifacts import remove, sha256_file
from trustdag.attribution.run import attribute
from trustdag.cli import main
from trustdag.errors import UserError
from trustdag.layout import Results
from trustdag.models.load import load_config
from trustdag.stamps import read_stamp
from trustdag.train import trainer as stage_trainer
from trustdag.train.memory import Passes
from trustdag.train.pairs import encode
from trustdag.train.session import session
from trustdag.train.supervised import TrainerInputs


@pytest.mark.parametrize(
    ("name", "changes"),
    [("sft", {}), ("reward", {"center": 0.1}), ("dpo", {"beta": 0.3}), ("dpo", {"loss": "ipo"}),
     ("dpo", {"loss": "hinge"}), ("dpo", {"loss": "robust", "label_smoothing": 0.2})],
)  # fmt: skip
def test_the_losses_are_those_of_the_stages_own_trainer(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    # Given the trainer with which a stage trains, and a batch of its pairs
    world = World(tmp_path, name, pairs=5, **changes)
    stage = tiny.stage(name, tmp_path / "base" / "model", tmp_path / "data", tmp_path / "out")
    settings = SETTINGS[name](max_length=64, batch_size=5, **changes)
    columns = ("chosen",) if name == "sft" else ("chosen", "rejected")
    encoded = encode(tmp_path / "data" / "train.parquet", columns, world.tokenizer, "hh", 64)
    with session(stage, settings) as running:
        pairs = {"train": encoded, "validation": encoded}
        passes = Passes.of(load_config(stage.policy), settings, encoded.longest())
        inputs = TrainerInputs(running, world.tokenizer, pairs, stage_trainer.arguments(running, settings, passes))
        trainer = methods()[name].build_trainer(inputs, settings)
        trainer.model.load_state_dict(world.model.float().state_dict())
        trainer.model.eval()
        (batch,) = list(trainer.get_eval_dataloader())
        # When both give the loss of the batch
        with torch.no_grad():
            theirs = float(trainer.compute_loss(trainer.model, batch))
    with torch.no_grad():
        own = world.examples.batch(range(5), world.pad)
        ours = float(world.objective.losses(world.model, own).sum() * world.objective.share(own))
    # Then it is the same
    assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A study of a tiny model, trained by DPO, that was asked the items of `bias`."""
    return results_of(tmp_path)


@pytest.mark.parametrize("changes", [{"method": "dot"}, {"method": "ekfac"}, {"method": "datainf", "gradients": "lora"},
                                     {"method": "projected", "projection": 4}, {"method": "unrolled"}])  # fmt: skip
def test_a_job_writes_a_row_a_pair_whose_parts_sum_to_its_score(results: Results, changes: dict[str, Any]) -> None:
    attribute(task_of(**changes), results)

    table = pd.read_parquet(results.attribution(POLICY, "bias"))
    assert table["row"].tolist() == list(range(12))
    assert sorted(table["rank"]) == list(range(1, 13))
    assert table.sort_values("rank")["score"].is_monotonic_decreasing
    parts = table[[name for name in table if str(name).startswith("part:")]]
    np.testing.assert_allclose(parts.sum(axis=1), table["score"], rtol=1e-4, atol=1e-7)
    assert {"part:block 0", "part:lm_head"} <= set(parts)
    assert {"random", "bm25", "embedding", "length"} <= set(table)
    assert table["standard_error"].isna().all() == (changes["method"] == "unrolled")
    assert table.attrs["attribution"]["query"] == "options"
    made_from = read_stamp(Path(results.attribution(POLICY, "bias")))
    assert made_from["data"] == sha256_file(Path(results.data("crowd", "train.parquet")))


def test_the_same_job_by_its_command_writes_the_same_scores(results: Results, tmp_path: Path) -> None:
    attribute(task_of(), results)
    first = pd.read_parquet(results.attribution(POLICY, "bias"))

    assert main(["attribute", "--task", task_of().as_json(), "--results", results.root]) == 0

    pd.testing.assert_frame_equal(pd.read_parquet(results.attribution(POLICY, "bias")), first)


def test_a_vertical_without_records_is_refused_in_a_line(results: Results) -> None:
    Path(results.records(POLICY, "bias")).unlink()

    with pytest.raises(UserError, match=r"bias.parquet: no such file; bias cannot be attributed without its records"):
        attribute(task_of(), results)


def test_a_method_that_does_not_fit_is_refused_before_it_starts_with_what_would(results: Results) -> None:
    with pytest.raises(UserError, match=r"ekfac would need .* GB, more than memory_gb .*set `gradients: lora`"):
        attribute(task_of(method="ekfac", memory_gb=0.001), results)
    with pytest.raises(UserError, match=r"unrolled would need .* take `method: ekfac`"):
        attribute(task_of(method="unrolled", memory_gb=0.001), results)


def move_log_probabilities(results: Results, nats: float) -> None:
    """Stores log-probabilities that are lower by so many nats times the square root of the tokens."""
    path = Path(results.replies(POLICY, "bias"))
    replies = pd.read_parquet(path)
    made_from = replies.attrs
    replies["logprob"] -= nats * replies["tokens"] ** 0.5
    replies.attrs = made_from
    replies.to_parquet(path)
    records = pd.read_parquet(results.records(POLICY, "bias"))
    records.attrs["made_from"]["replies"] = sha256_file(path)
    records.to_parquet(results.records(POLICY, "bias"))


def test_replies_of_another_model_are_refused(results: Results) -> None:
    move_log_probabilities(results, 0.5)

    with pytest.raises(UserError, match=r"log-probabilities of .* texts differ from the stored ones"):
        attribute(task_of(), results)


def test_replies_that_a_gpu_sampled_in_bf16_are_those_of_the_model(results: Results) -> None:
    move_log_probabilities(results, 0.11)

    attribute(task_of(), results)

    assert Path(results.attribution(POLICY, "bias")).is_file()


@pytest.mark.parametrize(
    ("missing", "changes", "message"),
    [
        ("records", {}, "bias.parquet: no such file; bias cannot be attributed without its records; run snakemake"),
        ("model", {}, "seed0 and run snakemake again"),
        ("pairs", {}, "train.parquet: No such file or directory"),
        ("none", {"method": "projected", "projection": 500}, "attribution: projection: 500 is more than the"),
        ("none", {"method": "ekfac", "memory_gb": 0.001}, "attribution: ekfac would need"),
        ("none", {"layers": "nothing"}, "attribution: layers: 'nothing' matches no layer"),
    ],
)
def test_what_cannot_be_attributed_is_one_line_on_the_command_line(
    results: Results, capsys: pytest.CaptureFixture[str], missing: str, changes: dict[str, Any], message: str
) -> None:
    # Given a study that lacks a file, or settings that do not fit its model
    paths = {
        "records": results.records(POLICY, "bias"),
        "model": results.model(POLICY, "model"),
        "pairs": results.data("crowd", "train.parquet"),
    }
    if missing in paths:
        remove(Path(paths[missing]))
    # When the job is run
    code = main(["attribute", "--task", task_of(**changes).as_json(), "--results", results.root])
    # Then it ends with one line that names the reason
    *_, last = capsys.readouterr().err.splitlines()
    assert code == 2
    assert message in last
    assert not Path(results.attribution(POLICY, "bias")).exists()
