"""Templates to self-contained HTML: the page's style and script inside, everything from a study escaped."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag.progress import duration
from trustdag.report import numbers
from trustdag.report.answer import pairs_of
from trustdag.report.embed import embedded_json
from trustdag.report.known_errors import labelled

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("charts.js", "page.js")


def environment() -> "Environment":
    """What templates are rendered with: all text is escaped, and a name that is not there is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("number", "signed", "title", "prose"):
        made.filters[name] = getattr(numbers, name)
    made.filters |= {"data": embedded_json, "duration": duration, "pairs": pairs_of}
    made.globals |= {"interval": numbers.interval, "labelled": labelled, "infinity": float("inf")}
    return made


def render(template: str, context: Mapping[str, Any]) -> str:
    """A whole HTML document. Its policy lets no script run but ours, whose digest it names (`digest`).

    Args:
        template: `page` or `compare`.
        context: What the template shows; replies and other texts of a study are untrusted.
    """
    style = (TEMPLATES / "page.css").read_text("utf-8")
    script = "".join((TEMPLATES / name).read_text("utf-8") for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    document = environment().get_template(f"{template}.html.j2")
    return document.render(**context, style=style, script=script, digest=digest)
