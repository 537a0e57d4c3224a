"""Images of a split that a reading lacks, or that say less than their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from yolo_balance.ranges import Count


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """Images of a split that were not read, and those of the images read that say less than their number.

    Attributes:
        ignored: Images that Ultralytics could not use.
        first_ignored: Name of the first of them and the reason; empty without any.
        filtered: Images that an argument left out: all their objects are of other classes than `classes`, or `fraction`
            did not reach them.
        filtered_by: The arguments; empty without any.
        copies: Images beyond the first of each group of identical files; a line that a list repeats is one of them.
        unlabelled: Images read without a label file, which count as images without objects.
        in_train: Images read that are also in train, under whatever name; None where train's images were not found.
    """

    ignored: Count = 0
    first_ignored: str = ""
    unlabelled: Count = 0
    filtered: Count = 0
    filtered_by: str = ""
    copies: Count = 0
    in_train: Count | None = 0

    @property
    def counts(self) -> SplitCounts:
        """The counts alone, of a report that has them among its own fields."""
        return SplitCounts(**{field.name: getattr(self, field.name) for field in fields(SplitCounts)})

    @property
    def left_out(self) -> int:
        """Images of which the reading knows nothing: any of them may hold objects of any class.

        Images that `classes` alone left out are known: such an image holds objects of other classes only.
        """
        known = self.filtered_by.startswith("classes=") and " and " not in self.filtered_by
        return self.ignored + (0 if known else self.filtered)


def counts_last(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a JSON file with the counts at its end, and reasons only where there are any."""
    counts = {key: content[key] for key in (*COUNTS, *REASONS) if key in COUNTS or content[key]}
    return {**{key: value for key, value in content.items() if key not in (*COUNTS, *REASONS)}, **counts}


COUNTS = ("ignored", "unlabelled", "filtered", "copies", "in_train")
"""Keys that a recall.json always has."""
REASONS = ("first_ignored", "filtered_by")
"""Keys that a recall.json has where they are not empty."""
