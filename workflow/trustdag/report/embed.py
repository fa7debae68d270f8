"""Embedding of data in the page: escaped JSON, and plots as inline SVG without scripts."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from trustdag.errors import UserError

ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
"""Characters that could end a script element or a line of it; inside a JSON text an escape means the same."""
SHAPES = frozenset(("svg", "g", "path", "use", "defs", "clipPath", "rect", "circle", "polygon", "line", "text", "tspan",
                    "title", "image"))  # fmt: skip
"""Elements of a plot that are kept in the page."""
DROPPED = frozenset(("width", "height", "version"))
"""Attributes of the outer element that prevent a plot from scaling."""
THEMED = {
    "#1c2430": "var(--ink)",
    "#66707f": "var(--quiet)",
    "#e3e7ec": "var(--line)",
    "#eef1f4": "var(--line)",
    "#ffffff": "var(--paper)",
}
"""The plots' own ink, grid and background, as the variables of page.css: they follow the reader's color scheme."""


def embedded_json(content: Any) -> str:
    """JSON for a script element: no text in it can end the element, and NaN is refused."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return "".join(ESCAPES.get(character, character) for character in text)


def inline_svg(path: Path, name: str) -> str:
    """A plot as part of the page: text that can be selected and searched, hover texts, the page's colors.

    Elements and attributes that could load or run anything are removed.

    Args:
        path: The SVG file.
        name: The plot's name, which makes its ids differ from other plots' ids.

    Raises:
        UserError: The file is not SVG.
    """
    try:
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - a plot of this study
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: not an SVG file ({error}); delete it, and it is drawn again") from None
    _clean(root, name)
    for attribute in DROPPED & root.attrib.keys():
        del root.attrib[attribute]
    root.set("aria-hidden", "true")
    text = ElementTree.tostring(root, encoding="unicode")
    for color, variable in THEMED.items():
        text = text.replace(color, variable)
    return text


def _clean(element: ElementTree.Element, name: str) -> None:
    """Removes namespaces and all elements but shapes, and adds the plot's name to ids."""
    element.tag = _local(element.tag)
    element.attrib = {
        key: _own(value, name, key) for key, value in _attributes(element).items() if _is_inert(key, value)
    }
    for child in list(element):
        if isinstance(child.tag, str) and _local(child.tag) in SHAPES:
            _clean(child, name)
        else:
            element.remove(child)


def _attributes(element: ElementTree.Element) -> dict[str, str]:
    return {_local(key): value for key, value in element.attrib.items()}


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _is_inert(key: str, value: str) -> bool:
    if key == "href":
        return value.startswith(("#", "data:image/png;base64,"))
    return not key.startswith("on") and not re.search(r"url\((?!#)|javascript:|@import", value)


def _own(value: str, name: str, key: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    return re.sub(r"url\(#", f"url(#{name}-", value)
