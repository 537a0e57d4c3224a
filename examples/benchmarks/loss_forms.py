"""Forms of CARL and ISR, paired by seed on a data set of your own, and what CARL does to the positives' scores.

    python examples/benchmarks/loss_forms.py DATA.yaml MODEL [--arms base carl isr] [--seeds 0 1 2] [--epochs 12]

Every arm is trained after inverse-frequency sampling (power 1), which `base` is alone. Printed are mAP50, mAP50-95,
mean AP50 of the four classes with the fewest boxes in train and of the two with the most, and the recall of the four
at each budget, as means over seeds, with the difference to `base` and its 95 % t interval. `loss_forms.csv` has a row
per run, and runs in it are not trained again; `loss_forms.png` draws, over the epochs of the first seed, the
positives' mean score and IoU and the net pull on their logits: up by the classification loss, and by the box loss
through CARL.

The curves are of the runs that were trained in this call. A run of 12 epochs on 343 train and 300 val images at 160 px
takes about two and a half minutes on a CPU core.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from torch import Tensor
from ultralytics import YOLO
from ultralytics.utils import LOGGER

from yolo_balance import attach
from yolo_balance.integration.hooks.criterion import heads
from yolo_balance.losses.assignment import Assignment, Term

PUBLISHED = {"published": True, "gradient": 1.0}
ARMS: dict[str, dict[str, Any] | None] = {
    "base": None,
    "carl": {"carl": {}},
    "published": {"carl": PUBLISHED},
    "published, gain .1": {"carl": {**PUBLISHED, "gain": 0.1}},
    "published, multiplied": {"carl": {**PUBLISHED, "gain": None}},
    "published, detached": {"carl": {"published": True, "gradient": 0.0}},
    "published, cls/box gradient": {"carl": {"published": True}},
    "weighted mean": {"carl": {"gradient": 1.0}},
    "multiplied": {"carl": {"gain": None}},
    "gain 1": {"carl": {"gain": 1.0}},
    "k 2": {"carl": {"k": 2.0}},
    "isr": {"isr": {}},
    "isr, no cap": {"isr": {}, "max_weight": 1000.0},
    "isr, k 1, no cap": {"isr": {"k": 1.0}, "max_weight": 1000.0},
    "isr, k 2, no cap": {"isr": {"k": 2.0}, "max_weight": 1000.0},
    "isr, k 1, negatives": {"isr": {"k": 1.0, "negatives": {}}},
    "isr, negatives only": {"isr": {"k": 0.0, "negatives": {}}},
    "pisa": {"pisa": True},
}
EVERY = 5  # batches between two looks
FIGURES = ("mAP50", "mAP50-95", "AP50 of the rarest four", "AP50 of the commonest two", "recall")
Run = tuple[str, int]


class Watcher(Term):
    """Means over the positives of a look, by epoch: score, IoU, and the net pull of either loss on their logits."""

    def __init__(self, hyp: Any):
        self.hyp, self.epoch, self.batches = hyp, 0, 0
        self.records: dict[int, list[tuple[float, ...]]] = defaultdict(list)

    def box_weights(self, assignment: Assignment) -> None:
        """Record the positives that the box loss is about to see; return None."""
        a, logits = assignment, assignment.logits
        if logits is None or not logits.requires_grad:
            return
        self.batches += 1
        if self.batches % EVERY or not a.foreground.any():
            return
        scores, targets = (x.detach()[a.foreground] for x in (a.scores, a.stock_box_weights))
        iou, positive, size = a.iou[a.foreground].mean().item(), a.positive, len(a.foreground) * self.hyp.cls
        own = size * (scores - targets).sum().item() / max(float(a.target_scores.sum()), 1.0)
        figures, epoch = (scores.mean().item(), iou), self.epoch

        def total(gradient: Tensor) -> None:
            box = gradient[positive].sum().item() - own
            self.records[epoch].append((*figures, -own, -box))

        logits.register_hook(total)  # type: ignore[no-untyped-call]

    def curve(self) -> np.ndarray[Any, Any]:
        """Return means (epochs, 4) of the recorded figures."""
        return np.array([np.mean(self.records[epoch], axis=0) for epoch in sorted(self.records)])


def run(options: argparse.Namespace, arm: str, seed: int) -> tuple[dict[str, float], np.ndarray[Any, Any]]:
    """Train one arm at one seed; return its figures and its positives over the epochs."""
    model, watchers, ap = YOLO(options.model), list[Watcher](), dict[int, float]()
    # an ISR of exponent 0 and bias 1 weighs all alike: it opens the hooks that the watcher looks through
    losses = ARMS[arm] or {"isr": {"k": 0.0, "bias": 1.0}}
    attach(model, {"sampling": {"strategy": "inverse_frequency", "power": 1.0}, "losses": losses})

    def watch(trainer: Any) -> None:
        head: Any = list(heads(trainer.model.criterion).values())[-1]
        watchers.append(Watcher(head.hyp))
        head.bce.terms.append(watchers[0])

    def begin(trainer: Any) -> None:
        watchers[0].epoch = trainer.epoch

    def read(trainer: Any) -> None:
        box = trainer.validator.metrics.box
        ap.update({-1: float(box.map50), -2: float(box.map)})
        ap.update(zip(map(int, box.ap_class_index), map(float, box.ap50), strict=True))

    for event, callback in (("on_train_start", watch), ("on_train_epoch_start", begin), ("on_fit_epoch_end", read)):
        model.add_callback(event, callback)
    given = {"imgsz": options.imgsz, "epochs": options.epochs, "batch": 16, "nbs": 16, "close_mosaic": 4}
    given |= {"cache": "ram", "plots": False, "verbose": False, "seed": seed, "project": str(options.out.resolve())}
    model.train(data=options.data, name=f"{list(ARMS).index(arm)}-{seed}", exist_ok=True, **given)
    trainer: Any = model.trainer
    order = np.argsort(trainer.resolved.statistics.boxes)
    classes = [list(b.classes.values()) for b in trainer.validator.recall_report.budgets]
    rare = [sum(c[i].hits for i in order[:4]) / max(sum(c[i].n for i in order[:4]), 1) for c in classes]
    means = [float(np.mean([ap.get(int(c), 0.0) for c in some])) for some in (order[:4], order[-2:])]
    budgets = [f"recall at {b.false_alarms:g}" for b in trainer.validator.recall_report.budgets]
    figures = dict(zip((*FIGURES[:4], *budgets), (ap[-1], ap[-2], *means, *rare), strict=True))
    return figures, watchers[0].curve()


def table(runs: dict[Run, dict[str, float]]) -> str:
    """Print means over seeds, and paired differences to the base."""
    lines = []
    for arm in dict.fromkeys(arm for arm, _ in runs):
        seeds = [seed for a, seed in runs if a == arm]
        lines.append(f"{arm}, n = {len(seeds)}")
        paired = [seed for seed in seeds if ("base", seed) in runs]
        for key in runs[arm, seeds[0]]:
            text = f"    {key:28} {np.mean([runs[arm, seed][key] for seed in seeds]):.3f}"
            if arm != "base" and len(paired) > 1:
                d = [runs[arm, seed][key] - runs["base", seed][key] for seed in paired]
                half = stats.t.ppf(0.975, len(d) - 1) * np.std(d, ddof=1) / np.sqrt(len(d))
                text += f"   {np.mean(d):+.3f} ± {half:.3f}"
            lines.append(text)
    return "\n".join(lines)


def draw(path: Path, curves: dict[str, np.ndarray[Any, Any]]) -> None:
    """Draw the positives over the epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.6), layout="constrained")
    titles = ("mean score", "mean IoU", "pull of the classification loss", "pull of the box loss")
    for i, (axes, title) in enumerate(zip(figure.subplots(1, 4), titles, strict=True)):
        for arm, curve in curves.items():
            axes.plot(np.arange(len(curve)) + 1, curve[:, i], label=arm)
        axes.set(title=title, xlabel="epoch")
        axes.axhline(0, color="0.8", linewidth=0.8)
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Train what is missing, then print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("model")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--imgsz", type=int, default=160)
    parser.add_argument("--out", type=Path, default=Path("runs/loss_forms"))
    options = parser.parse_args()
    LOGGER.setLevel("ERROR")
    options.out.mkdir(parents=True, exist_ok=True)
    file, runs, curves = options.out / "loss_forms.csv", dict[Run, dict[str, float]](), dict[str, Any]()
    if file.exists():
        with file.open(newline="") as f:
            for row in csv.DictReader(f):
                key = row.pop("arm"), int(row.pop("seed"))
                runs[key] = {name: float(value) for name, value in row.items()}
    for seed in options.seeds:
        for arm in options.arms:
            if (arm, seed) in runs:
                continue
            runs[arm, seed], curve = run(options, arm, seed)
            if seed == options.seeds[0]:
                curves[arm] = curve
            print(arm, seed, {key: round(value, 3) for key, value in runs[arm, seed].items()}, flush=True)
            with file.open("w", newline="") as f:
                writer = csv.DictWriter(f, ["arm", "seed", *runs[arm, seed]])
                writer.writeheader()
                writer.writerows({"arm": a, "seed": s, **figures} for (a, s), figures in runs.items())
    print(table({key: figures for key, figures in runs.items() if key[0] in options.arms}))
    if curves:
        draw(options.out / "loss_forms.png", curves)


if __name__ == "__main__":
    main()
