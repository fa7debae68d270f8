"""The order of the package's rooms (files and folders directly below it): each imports only rooms before it."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from trustdag.fingerprint import PACKAGE, imports_of

ORDER = (
    ("ground", ("errors", "progress", "settings", "plugins", "jsonfiles", "yamlfiles", "artifacts", "seals", "stamps")),
    ("other machines", ("hub", "publishers")),
    ("the package", ("fingerprint", "rooms", "layout")),
    ("what a job is", ("jobs", "terminal")),
    ("data and models", ("data", "models")),
    ("replies", ("generation",)),
    ("training", ("train", "rl", "align")),
    ("measuring", ("scorers", "verticals", "stats", "labels", "attribution", "report", "results")),
    ("the study", ("plan", "config", "resources", "dag", "local_models", "pending", "environments", "starting")),
    ("doors", ("commands", "cli", "__main__")),
)
"""The purpose of each group of rooms, and its rooms in order."""


def as_text() -> str:
    """The order as the block of docs/architecture.md."""
    width = max(len(purpose) for purpose, _ in ORDER)
    return "\n".join(f"{purpose:{width}}  {' -> '.join(rooms)}" for purpose, rooms in ORDER)


def room_of(path: Path) -> str:
    """The room of a file of the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def files() -> list[Path]:
    """Every Python file of the package but its own `__init__`, whose version all rooms may read."""
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def unlisted() -> list[str]:
    """Rooms that the order lacks, and names in it that are no rooms."""
    named = {room for _, rooms in ORDER for room in rooms}
    return sorted(named ^ {room_of(path) for path in files()})


def violations() -> list[str]:
    """Imports of a room that comes later: `importing file -> imported file`."""
    place = {room: number for number, room in enumerate(room for _, rooms in ORDER for room in rooms)}
    return [
        f"{path.relative_to(PACKAGE)} -> {target.relative_to(PACKAGE)}"
        for path in files()
        for target in imports_of(path)
        if target != PACKAGE / "__init__.py" and place[room_of(target)] > place[room_of(path)]
    ]


def circles() -> list[str]:
    """Files that import each other in a circle. A package's `__init__` counts only if it is imported by name."""
    graph = {str(path): {str(target) for target in imports_of(path)} for path in files()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return [str(Path(name).relative_to(PACKAGE)) for name in error.args[1]]
    return []
