"""What all pages share: one template and its style, macros, and how a figure becomes part of a page.

A page is one file that opens anywhere, without a network. Names and paths are data: templates escape them.
"""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from yolo_balance.words import counted, listed, percent, plain


def environment(package: str) -> Environment:
    """Templates of a package and, behind them, those of all pages.

    Args:
        package: Import name of a package with a folder `templates`.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(__name__)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"counted": counted, "listed": listed, "percent": percent, "plain": plain}
    return made
