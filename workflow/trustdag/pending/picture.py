"""The DAG as a picture: one box for each rule and model, colored by its state (done, ready or blocked). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from trustdag.pending.dryrun import Job

COLORS = {"done": "#b7dfb0", "ready": "#ffe08a", "blocked": "#e3e3e3"}
"""Colors with a contrast of at least 7:1 to black text (WCAG AAA)."""
BOX, GAP = (190, 46), (50, 16)


@dataclass(frozen=True)
class Box:
    """All jobs of one rule and model."""

    rule: str
    model: str
    total: int
    pending: int
    state: str
    needs: frozenset[tuple[str, str]]
    depth: int
    """Jobs in the longest chain before its last one."""

    @property
    def key(self) -> tuple[str, str]:
        """Rule and model."""
        return self.rule, self.model

    @property
    def label(self) -> tuple[str, str]:
        """Its two lines."""
        name = f"{self.rule} · {self.model}" if self.model != "-" else self.rule
        return name, f"{self.total - self.pending} of {self.total} done"


def boxes(everything: Sequence[Job], pending: Sequence[Job]) -> list[Box]:
    """Boxes in order of dependence. Ready: at least one job can start now; blocked: all jobs wait for others."""
    waiting = {frozenset(job.outputs) | {job.rule}: job for job in pending}
    keys = {job.id: (job.rule, job.model) for job in everything}
    depths: dict[int, int] = {}
    for job in everything:
        depths[job.id] = 1 + max((depths[need] for need in job.needs), default=-1)
    drawn = []
    for key in dict.fromkeys(keys.values()):
        own = [job for job in everything if keys[job.id] == key]
        left = [waiting[name] for job in own if (name := frozenset(job.outputs) | {job.rule}) in waiting]
        state = "done" if not left else "ready" if any(not job.needs for job in left) else "blocked"
        needs = frozenset(keys[need] for job in own for need in job.needs) - {key}
        depth = max(depths[job.id] for job in own)
        drawn.append(Box(*key, total=len(own), pending=len(left), state=state, needs=needs, depth=depth))
    return drawn


def mermaid(drawn: Sequence[Box]) -> str:
    """The boxes as a Mermaid flow chart."""
    names = {box.key: f"n{number}" for number, box in enumerate(drawn)}
    lines = ["flowchart LR"]
    lines += [f'  {names[box.key]}["{box.label[0]}<br>{box.label[1]}"]:::{box.state}' for box in drawn]
    lines += [f"  {names[need]} --> {names[box.key]}" for box in drawn for need in sorted(box.needs)]
    lines += [f"  classDef {state} fill:{color},stroke:#444,color:#000" for state, color in COLORS.items()]
    return "\n".join(lines) + "\n"


def svg(drawn: Sequence[Box]) -> str:
    """The boxes as an SVG: a column for each level of dependence. The state is shown as color and as text."""
    columns = _columns(drawn)
    places = {}
    for column, members in enumerate(columns):
        for row, box in enumerate(members):
            places[box.key] = (20 + column * (BOX[0] + GAP[0]), 20 + row * (BOX[1] + GAP[1]))
    width = 40 + len(columns) * (BOX[0] + GAP[0])
    height = 40 + max(map(len, columns), default=0) * (BOX[1] + GAP[1])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="sans-serif">',
        "<title>Jobs of the study: done, ready and blocked</title>",
    ]
    parts += [_edge(places[need], places[box.key]) for box in drawn for need in sorted(box.needs)]
    parts += [_box(box, places[box.key]) for box in drawn]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _columns(drawn: Sequence[Box]) -> list[list[Box]]:
    columns: list[list[Box]] = [[] for _ in range(1 + max((box.depth for box in drawn), default=-1))]
    for box in drawn:
        columns[box.depth].append(box)
    return [column for column in columns if column]


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + BOX[0], start[1] + BOX[1] // 2, end[0], end[1] + BOX[1] // 2
    middle = (x1 + x2) // 2
    return f'<path d="M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}" fill="none" stroke="#777"/>'


def _box(box: Box, place: tuple[int, int]) -> str:
    x, y = place
    first, second = box.label
    size = f'width="{BOX[0]}" height="{BOX[1]}"'
    return (
        f'<g><rect x="{x}" y="{y}" {size} rx="5" fill="{COLORS[box.state]}" stroke="#444"/>'
        f'<text x="{x + 8}" y="{y + 19}" font-size="13">{escape(first)}</text>'
        f'<text x="{x + 8}" y="{y + 37}" font-size="12">{escape(box.state)}: {escape(second)}</text></g>'
    )
