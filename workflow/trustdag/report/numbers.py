"""Number formats of the page."""

import math

from markupsafe import Markup, escape

MINUS = "\N{MINUS SIGN}"
ACRONYMS = frozenset(("auroc", "dpo", "ece", "emt", "fnr", "fpr", "kl", "mc", "mc1", "mc2", "ppo", "sft"))
MISSING = "\N{EN DASH}"


def number(value: float | None, digits: int = 3) -> str:
    """A number with this many decimals; a dash for a missing one."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """A difference, with its sign."""
    if value is None or math.isnan(value):
        return MISSING
    if value == 0:
        return number(0.0, digits)
    # A difference that would be rounded to 0 is shown with one significant digit.
    shown = f"{value:+.{digits}f}" if round(value, digits) else f"{value:+.0e}"
    return shown.replace("-", MINUS)


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
