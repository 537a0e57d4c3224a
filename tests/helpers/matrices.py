"""Long matrices: CI runs a sample of the cases, `.ci/long` runs the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pytest


def sampled(cases: Iterable[object], sample: Collection[object]) -> list[object]:
    """Return the cases for `pytest.mark.parametrize`; those outside the sample carry the marker `long`."""
    return [case if case in sample else pytest.param(case, marks=pytest.mark.long) for case in cases]
