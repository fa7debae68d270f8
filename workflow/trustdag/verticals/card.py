"""The data card of a vertical's items."""

from types import ModuleType
from typing import TYPE_CHECKING, Any

from trustdag.artifacts import provenance
from trustdag.generation.tables import items_digest
from trustdag.settings import Section

if TYPE_CHECKING:
    import pandas as pd

OWN = ("toy", "synthetic")
"""Sources whose items trustdag makes itself."""
OWN_LICENSE = "MIT, as trustdag itself"
LICENSES = {
    "bias": "CC BY-SA 4.0 (DecodingTrust, Wang et al. 2023)",
    "ethics": "MIT (ETHICS, Hendrycks et al. 2021)",
    "toxicity": "Apache 2.0 (RealToxicityPrompts, Gehman et al. 2020)",
    "truthfulness": "Apache 2.0 (TruthfulQA, Lin et al. 2022)",
}
"""By vertical: the license that the benchmark's publisher states."""
NOT_STATED = "not stated"


def license_of(name: str, module: ModuleType, source: str) -> str:
    """The license of a vertical's items.

    Args:
        name: the vertical's name.
        module: its module, which may state a `LICENSE` where the vertical is another's.
        source: where the items are from.
    """
    if source in OWN:
        return OWN_LICENSE
    return str(getattr(module, "LICENSE", LICENSES.get(name, NOT_STATED)))


def card(name: str, module: ModuleType, settings: Section, items: "pd.DataFrame") -> dict[str, Any]:
    """The numbers of items by kind, their digest, and irregularities of the source (`items.attrs["notes"]`).

    Args:
        name: the vertical's name.
        module: its module.
        settings: its settings of items.
        items: its table of items.
    """
    lengths = [sum(len(message["content"]) for message in messages) for messages in items["messages"]]
    return {
        "vertical": name,
        "version": module.VERSION,
        # A vertical may make its items itself, and then has no choice of sources.
        "settings": {"source": "own"} | settings.model_dump(mode="json"),
        "license": license_of(name, module, str(getattr(settings, "source", "own"))),
        "sha256": items_digest(items),
        "items": len(items),
        "clusters": int(items["cluster"].nunique()),
        "conditions": {str(key): int(count) for key, count in items["condition"].value_counts().sort_index().items()},
        "generate": int(items["generate"].sum()),
        "options": int(items["options"].map(len).sum()),
        "characters": {"mean": sum(lengths) / len(lengths), "longest": max(lengths)},
        "notes": dict(items.attrs.get("notes", {})),
        "provenance": provenance(),
    }
