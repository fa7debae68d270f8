"""The contract of a vertical: the names that its module must define."""

from collections.abc import Iterator
from types import ModuleType

from trustdag.generation.settings import GenerateSettings
from trustdag.plugins.contract import missing, section, takes, texts
from trustdag.verticals.base import PARTS, STATISTICS, Metric, ScoreSection, VerticalSettings

NAMES = {
    "VERSION": "an int, raised when a number would change",
    "GOLD": "the items' own columns that `score` reads; `()` for none",
    "METRICS": "a tuple of `Metric`",
    "Settings": "a class that derives from VerticalSettings",
    "items": "`items(settings)` gives the table of items",
    "score": "`score(items, replies, settings)` gives the records",
}


def complaints(module: ModuleType, _: str) -> Iterator[str]:
    """Yields a clause for each violation of the contract."""
    yield from missing(module, NAMES)
    if not isinstance(getattr(module, "VERSION", 1), int):
        yield "`VERSION` is not an int"
    yield from texts(module, "GOLD")
    yield from _metrics(module)
    yield from section(module, "Settings", VerticalSettings)
    if isinstance(getattr(module, "Settings", None), type):
        yield from _settings(module.Settings)
    yield from takes(module, "items", ["settings"])
    yield from takes(module, "files", ["settings"])
    yield from takes(module, "score", ["items", "replies", "settings"])


def _metrics(module: ModuleType) -> Iterator[str]:
    metrics = getattr(module, "METRICS", None)
    if metrics is None:
        return
    if not isinstance(metrics, tuple | list) or not all(isinstance(metric, Metric) for metric in metrics):
        yield "`METRICS` is not a tuple of `Metric` (trustdag.verticals.base); one alone is written `(Metric(...),)`"
        return
    headlines = [metric.name for metric in metrics if metric.headline]
    if len(headlines) != 1:
        yield f"`METRICS` has {len(headlines)} headline metrics, and one metric has to be `headline=True`"
    names = [metric.name for metric in metrics]
    yield from (f"`METRICS` names `{name}` twice" for name in sorted({name for name in names if names.count(name) > 1}))
    for metric in metrics:
        if metric.statistic not in STATISTICS:
            yield f"metric `{metric.name}` has the statistic `{metric.statistic}`; there are {', '.join(STATISTICS)}"
        if metric.direction not in ("lower", "higher", None):
            yield f"metric `{metric.name}` has the direction {metric.direction!r}; give 'lower', 'higher' or None"
        strangers = [facet for facet in metric.facets if facet not in getattr(module, "GOLD", ())]
        yield from (f"metric `{metric.name}` has the facet `{facet}`, which `GOLD` lacks" for facet in strangers)


def _settings(settings: type) -> Iterator[str]:
    fields = getattr(settings, "model_fields", {})
    lacking = [part for part in PARTS if part not in fields]
    if lacking:
        yield f"`Settings` lacks the fields {', '.join(f'`{part}`' for part in lacking)}"
    for part, base in (("generate", GenerateSettings), ("score", ScoreSection)):
        kind = fields[part].annotation if part in fields else base
        if not (isinstance(kind, type) and issubclass(kind, base)):
            yield f"`Settings.{part}` is no class that derives from {base.__name__} ({base.__module__})"
