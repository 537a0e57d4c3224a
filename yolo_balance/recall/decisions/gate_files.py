"""The gate from Python: reports and targets as objects or files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from yolo_balance.config.targets import read_targets
from yolo_balance.recall.decisions.gate import Gate
from yolo_balance.recall.report import RecallReport


def gate(
    report: RecallReport | str | Path, targets: Mapping[str, float] | str | Path, *, budget: float | None = None
) -> Gate:
    """Check promised recall against a report.

    Args:
        report: A report, or the path of its recall.json.
        targets: Promised recall per class name, or the path of a YAML that states it (`read_targets`).
        budget: False boxes per clean image at which recall is read; the report's first when left out.

    Returns:
        The promises with their verdicts; `exit_code` is that of the command line.

    Raises:
        ConfigError: The targets cannot be read, name a class that the report does not know, or the budget is another.
        DataError: The file is no recall.json.
    """
    read = report if isinstance(report, RecallReport) else RecallReport.load(report)
    promised = read_targets(targets) if isinstance(targets, (str, Path)) else targets
    return Gate.of(read, promised, budget=budget)
