"""Number formats: the decimals that all outputs show, and the signs of the page."""

import math

from markupsafe import Markup, escape

MINUS = "\N{MINUS SIGN}"
ACRONYMS = frozenset(("auroc", "dpo", "ece", "emt", "fnr", "fpr", "kl", "mc", "mc1", "mc2", "ppo", "sft"))
MISSING = "\N{EN DASH}"


def rounded(value: float | None, digits: int = 3) -> str:
    """A number with this many decimals, in ASCII and never `-0.000`; empty for a missing one."""
    if value is None or math.isnan(value):
        return ""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def rounded_change(value: float | None, digits: int = 3) -> str:
    """A difference with its sign, in ASCII; empty for a missing one.

    One that would be rounded to 0 has one significant digit, as in `+4e-05`: it is no proof of no difference.
    """
    if not value or math.isnan(value):
        return rounded(value, digits)
    return f"{value:+.{digits}f}" if round(value, digits) else f"{value:+.0e}"


def number(value: float | None, digits: int = 3) -> str:
    """A number on the page; a dash for a missing one."""
    return rounded(value, digits).replace("-", MINUS) or MISSING


def signed(value: float | None, digits: int = 3) -> str:
    """A difference on the page, with its sign."""
    return rounded_change(value, digits).replace("-", MINUS) or MISSING


def interval(low: float, high: float, digits: int = 3) -> str:
    """`[low, high]`; empty without an interval.

    Args:
        low: Lower end.
        high: Upper end.
        digits: Decimals.
    """
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{number(low, digits)}, {number(high, digits)}]"


def title(name: str) -> str:
    """A metric's or vertical's name as a title, such as `Likelihood FNR` for `likelihood_fnr`."""
    words = [word.upper() if word.lower() in ACRONYMS else word for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def prose(text: str) -> Markup:
    """A sentence with `backticks` as code, escaped for the page."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )
