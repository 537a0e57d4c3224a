"""Pictures of a run's sampling."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from yolo_balance.files import csv_name


def feedback(path: Path) -> Path | None:
    """Draw factor and recall per class over the epochs of a feedback.csv, beside it as feedback.png.

    Classes whose factor never moved from the others' are drawn too: that they stayed is the finding. With more than
    eight classes those with the largest factor in the last epoch are drawn.

    Args:
        path: The file; nothing is drawn if it is not there or empty.

    Returns:
        The picture's path, or None.
    """
    if not path.exists():
        return None
    curves: dict[str, list[dict[str, str]]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as f:
        for row in csv.DictReader(f):
            curves[csv_name(row["class"])].append(row)
    if not curves:
        return None
    figure = Figure(figsize=(8, 6), layout="constrained")
    factor_axes, recall_axes = figure.subplots(2, 1, sharex=True)
    shown = sorted(curves, key=lambda name: -float(curves[name][-1]["factor"]))[:8]
    for name in shown:
        rows = curves[name]
        epochs = [int(row["epoch"]) for row in rows]
        frozen = rows[-1]["frozen"] == "1"
        label = f"{name} (n={rows[-1]['n']}{', frozen' if frozen else ''})".replace("$", r"\$")
        (line,) = factor_axes.plot(epochs, [float(row["factor"]) for row in rows], label=label)
        recall = [float(row["recall"] or "nan") for row in rows]
        low = [float(row["low"] or "nan") for row in rows]
        recall_axes.plot(epochs, recall, color=line.get_color())
        recall_axes.plot(epochs, low, color=line.get_color(), linestyle=":")
    factor_axes.set(ylabel="factor", title="Factors that follow recall")
    factor_axes.set_yscale("log", base=2)
    factor_axes.yaxis.set_major_formatter("{x:g}")
    factor_axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    recall_axes.set(ylabel="recall, dotted its lower bound", xlabel="epoch", ylim=(-0.02, 1.02))
    recall_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (factor_axes, recall_axes):
        axes.grid(alpha=0.3)
    picture = path.with_suffix(".png")
    figure.savefig(picture, dpi=120)
    return picture
