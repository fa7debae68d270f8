"""Takes a small picture of a study's page for the gallery: `python docs/pictures.py results/NAME ...`.

It shows the answer and the first plot, without the cards between them.

Needs a Chromium on the machine. `python docs/generate.py` then puts the picture on docs/studies.md.
"""

import base64
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow")]

from tests.support.browser import chromium  # noqa: E402

WIDTH, SCALE = 1000, 0.6
"""Of the page in pixels, and how much smaller the picture is."""
QUALITY = 50
LEFT_OUT = "nav, .card, .controls, .basis, .sentences"
END = "document.querySelector('#plot-changes').getBoundingClientRect().bottom + scrollY"
"""Where the first plot ends."""
LARGEST = 60_000
"""Bytes of a picture."""


def main() -> int:
    """Writes docs/figures/page-NAME.webp for each results folder of a study."""
    with TemporaryDirectory() as profile, chromium(Path(profile)) as browser:
        for results in map(Path, sys.argv[1:]):
            browser.open(results / "report.html", width=WIDTH)
            browser.run(f"document.querySelectorAll('{LEFT_OUT}').forEach(part => part.remove())")
            top = {"x": 0, "y": 0, "width": WIDTH, "height": browser.run(END), "scale": SCALE}
            options = {"format": "webp", "quality": QUALITY, "clip": top, "captureBeyondViewport": True}
            taken = browser.call("Page.captureScreenshot", **options)
            picture = base64.b64decode(taken["data"])
            if len(picture) > LARGEST:
                raise ValueError(f"{results}: the picture has {len(picture):,} bytes, more than {LARGEST:,}")
            path = ROOT / "docs" / "figures" / f"page-{results.resolve().name}.webp"
            path.write_bytes(picture)
            print(f"{path.relative_to(ROOT)}: {len(picture):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
