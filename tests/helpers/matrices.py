"""Long matrices: CI runs a sample of the cases, `.ci/long` runs the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest


def sampled(cases: Iterable[object], sample: Sequence[object]) -> list[object]:
    """Return the cases for `pytest.mark.parametrize`; those outside the sample carry the marker `long`."""
    cases = list(cases)
    if not sample or any(case not in cases for case in sample):
        raise ValueError(f"expected a sample of the cases {cases}, got {sample}")
    return [case if case in sample else pytest.param(case, marks=pytest.mark.long) for case in cases]
