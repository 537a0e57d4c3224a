"""Template environment of all pages.

A page is one file that opens anywhere, without a network. Names and paths are data: templates escape them.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from yolo_balance.text import counted, listed, percent, plain


def environment() -> Environment:
    """Return the environment of all templates, with their filters."""
    made = Environment(
        loader=PackageLoader("yolo_balance.views"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"counted": counted, "listed": listed, "percent": percent, "plain": plain}
    return made
