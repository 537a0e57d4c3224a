"""Small words shared by what people read. Class names and paths are data: whatever they hold, a line stays a line."""

from __future__ import annotations

from collections.abc import Sequence


def plain(text: str) -> str:
    """A name or path for terminals and comments: what cannot be printed, line breaks first, is written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def listed(items: Sequence[str], most: int = 6) -> str:
    """`a, b and c`, or the first of them and how many more."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else "".join(items)


def counted(n: int, noun: str) -> str:
    """`1 image`, `1,200 images`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def percent(share: float) -> str:
    """A share with enough digits that neither none nor all is claimed where it is not so."""
    text = f"{share:.1%}"
    if (text == "100.0%" and share < 1) or (text == "0.0%" and share > 0):
        text = f"{share:.3%}"
    return text
