"""A study of a tiny model, trained by DPO, that was asked the items of `bias`: what a job of attribution reads."""

from pathlib import Path
from typing import Any

from tests.support import tiny_models as tiny
from tests.support.attribution_world import SETTINGS
from trustdag.align import methods
from trustdag.attribution.task import AttributionTask
from trustdag.cli import main
from trustdag.generation.run import GenerationTask, generate
from trustdag.generation.settings import GenerateSettings
from trustdag.layout import Results
from trustdag.verticals import vertical

POLICY = "tiny/crowd/sft-dpo/seed0"
GENERATE = {"temperature": 1.0, "max_new_tokens": 6}
STAGE = {"max_length": 64, "batch_size": 4, "precision": "fp32"}
"""The settings of the DPO stage; a replay is of a training in single precision."""


def results_of(folder: Path) -> Results:
    """The study's results, made in a folder."""
    files = Results(str(folder / "results"))
    data = tiny.write_data(Path(files.data("crowd", "train.parquet")).parent, 12)
    tiny.pairs(18).to_parquet(files.data("crowd", "test.parquet"))
    base = tiny.write_base(Path(files.model("tiny/base", "model")).parent, initializer_range=0.2, context=512)
    out = Path(files.model(POLICY, "model")).parent
    methods()["dpo"].train(tiny.stage("dpo", base, data, out), SETTINGS["dpo"](**STAGE))
    items = vertical("bias").items(vertical("bias").Settings(items={"source": "toy", "n": 12}).items)
    Path(files.items("bias")).parent.mkdir(parents=True)
    items.to_parquet(files.items("bias"))
    task = GenerationTask("bias", Path(files.items("bias")), GenerateSettings(**GENERATE))
    generate(task, out / "model", "hh", Path(files.replies(POLICY, "bias")))
    arguments = ["--items", files.items("bias"), "--replies", files.replies(POLICY, "bias")]
    assert main(["score", "bias", *arguments, "--out", files.records(POLICY, "bias")]) == 0
    return files


def task_of(**changes: Any) -> AttributionTask:
    """The attribution of the study's policy, with these settings."""
    asked = {"method": "dot", "groups": 3, "query": "options"} | changes
    return AttributionTask(
        policy=POLICY, stage="dpo", trained=POLICY, trained_method="dpo",
        settings=SETTINGS["dpo"](**STAGE).model_dump(mode="json"),
        start="tiny/base", preferences="crowd", seed=0, prompt_format="hh",
        verticals={"bias": {"attribution": asked, "generate": GENERATE, "score": {}}},
    )  # fmt: skip
