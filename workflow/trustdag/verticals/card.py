"""The data card of a vertical's items."""

import json
from types import ModuleType
from typing import TYPE_CHECKING, Any

from trustdag.artifacts import provenance, sha256_text
from trustdag.settings import Section

if TYPE_CHECKING:
    import pandas as pd


def card(name: str, module: ModuleType, settings: Section, items: "pd.DataFrame") -> dict[str, Any]:
    """How many items of which kinds, their digest, and what the source held that was odd (`items.attrs["notes"]`)."""
    lengths = [sum(len(message["content"]) for message in messages) for messages in items["messages"]]
    return {
        "vertical": name,
        "version": module.VERSION,
        "settings": settings.model_dump(mode="json"),
        "sha256": digest(items),
        "items": len(items),
        "clusters": int(items["cluster"].nunique()),
        "conditions": {str(key): int(count) for key, count in items["condition"].value_counts().sort_index().items()},
        "generate": int(items["generate"].sum()),
        "options": int(items["options"].map(len).sum()),
        "characters": {"mean": sum(lengths) / len(lengths), "longest": max(lengths)},
        "notes": dict(items.attrs.get("notes", {})),
        "provenance": provenance(),
    }


def digest(items: "pd.DataFrame") -> str:
    """SHA-256 of all items' content, gold columns included, in order."""
    rows = items.to_dict(orient="records")
    return sha256_text(json.dumps(row, sort_keys=True, default=_plain) for row in rows)


def _plain(value: Any) -> Any:
    """Arrays and their numbers, as Parquet gives them back, as the lists and numbers that they were."""
    return value.tolist()
