"""The releases of Ultralytics in which an attribute is expected."""

from __future__ import annotations

from typing import NamedTuple


class Releases(NamedTuple):
    """First and last release of those tried that have an attribute."""

    first: str = "8.3.253"
    last: str = "999"
