"""Pictures of a run's sampling."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from yolo_balance.files import write_bytes_whole
from yolo_balance.run_folder.history import read_feedback
from yolo_balance.run_folder.names import FEEDBACK, FEEDBACK_PLOT


def feedback(folder: Path) -> Path | None:
    """Draw factor and recall per class over the epochs of a run, from feedback.csv to feedback.png.

    Classes whose factor never moved from the others' are drawn too: that they stayed is the finding. With more than
    eight classes those with the largest factor in the last epoch are drawn.

    Args:
        folder: Folder of the run; nothing is drawn where it has no feedback.csv or an empty one.

    Returns:
        The picture's path, or None.
    """
    curves = read_feedback(folder) if (folder / FEEDBACK).exists() else {}
    if not curves:
        return None
    figure = Figure(figsize=(8, 6), layout="constrained")
    factor_axes, recall_axes = figure.subplots(2, 1, sharex=True)
    shown = sorted(curves, key=lambda name: -curves[name][-1].factor)[:8]
    for name in shown:
        rows = curves[name]
        epochs = [row.epoch for row in rows]
        label = f"{name} (n={rows[-1].n}{', frozen' if rows[-1].frozen else ''})".replace("$", r"\$")
        (line,) = factor_axes.plot(epochs, [row.factor for row in rows], label=label)
        recall_axes.plot(epochs, [row.recall for row in rows], color=line.get_color())
        recall_axes.plot(epochs, [row.low for row in rows], color=line.get_color(), linestyle=":")
    factor_axes.set(ylabel="factor", title="Factors that follow recall")
    factor_axes.set_yscale("log", base=2)
    factor_axes.yaxis.set_major_formatter("{x:g}")
    factor_axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    recall_axes.set(ylabel="recall, dotted its lower bound", xlabel="epoch", ylim=(-0.02, 1.02))
    recall_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (factor_axes, recall_axes):
        axes.grid(alpha=0.3)
    picture = folder / FEEDBACK_PLOT
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_bytes_whole(picture, content.getvalue())
    return picture
