"""Text that people read. Class names and paths are data: whatever they hold, a line stays a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def plain(text: str) -> str:
    """Write a name or path in one printable line: line breaks and other unprintable characters become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def listed(items: Sequence[str], most: int = 6) -> str:
    """Join names: `a, b and c`, or the first names and how many more."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else "".join(items)


def distinct(names: Sequence[str], mark: str = " ({})") -> list[str]:
    """Return names of which no two are equal: those that are get their number behind them, until all differ.

    Example:
        >>> distinct(["a", "b", "b"]), distinct(["a", "a", "a (1)"])
        (['a', 'b (1)', 'b (2)'], ['a (0)', 'a (1) (1)', 'a (1) (2)'])
    """
    different = list(names)
    while len(set(different)) < len(different):
        times = Counter(different)
        different = [f"{name}{mark.format(i)}" if times[name] > 1 else name for i, name in enumerate(different)]
    return different


def counted(n: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: `1 image`, `1,200 images`."""
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


def percent(share: float) -> str:
    """Write a share in percent, with enough digits that only none reads 0 % and only all reads 100 %."""
    text = f"{share:.1%}"
    if (text == "100.0%" and share < 1) or (text == "0.0%" and share > 0):
        text = f"{share:.3%}"
    return text
