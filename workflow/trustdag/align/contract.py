"""The contract of a training method: the names that its module must define."""

from collections.abc import Iterator
from types import ModuleType

from trustdag.plugins.contract import missing, section, takes, texts
from trustdag.train.settings import TrainSettings

NAMES = {
    "REQUIRES": 'the models that it starts from: `("policy",)` or `("policy", "reward")`',
    "PRODUCES": '"policy" or "reward"',
    "Settings": "a class that derives from TrainSettings",
    "cost": "`cost(settings, pairs)` gives the MethodCost that jobs ask for",
    "train": "`train(stage, settings)` writes the model",
}
ROLES = ("policy", "reward")


def complaints(module: ModuleType, _: str) -> Iterator[str]:
    """Yields a clause for each violation of the contract."""
    yield from missing(module, NAMES)
    yield from texts(module, "REQUIRES")
    required = getattr(module, "REQUIRES", ROLES)
    if isinstance(required, tuple | list) and ("policy" not in required or not set(required) <= set(ROLES)):
        yield f"`REQUIRES` is {tuple(required)!r}, and has to be {NAMES['REQUIRES']}"
    if getattr(module, "PRODUCES", "policy") not in ROLES:
        yield f'`PRODUCES` is {module.PRODUCES!r}, and has to be "policy" or "reward"'
    yield from section(module, "Settings", TrainSettings)
    yield from takes(module, "cost", ["settings", "pairs"])
    yield from takes(module, "train", ["stage", "settings"])
