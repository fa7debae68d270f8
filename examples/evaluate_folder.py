"""Evaluates a model folder on toy items of a vertical: `python examples/evaluate_folder.py MODEL [VERTICAL] [N]`."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from trustdag.generation.run import GenerationTask, generate
from trustdag.generation.tables import read_items, read_replies
from trustdag.verticals import vertical

model, name, count = Path(sys.argv[1]), *(sys.argv[2:] or ["ethics"])[:1], int((sys.argv[3:] or [100])[0])
module = vertical(name)
settings = module.Settings.model_validate({"items": {"source": "toy", "n": count}})
with TemporaryDirectory() as folder:
    items, replies = Path(folder) / "items.parquet", Path(folder) / "replies.parquet"
    module.items(settings.items).to_parquet(items)
    generate(GenerationTask(name, items, settings.generate), model, "hh", replies)
    records = module.score(read_items(items, module.GOLD), read_replies(replies), settings.score)
for metric in module.METRICS:
    values = records.loc[records["metric"] == metric.name, "value"]
    if metric.statistic == "mean" and len(values):
        print(f"{metric.name:24} {values.mean():.3f}  ({values.notna().sum()} of {len(values)} parsed)")
