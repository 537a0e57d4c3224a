"""Draw the effect of Prime Sample Attention: score against IoU of each object's best-fitting box, for two runs.

    python examples/prime_samples.py [--data demo] [--epochs 20] [--config cfg/pisa.yaml] [--imgsz 128]
    python examples/prime_samples.py --data mine.yaml --imgsz 640 --weights stock.pt balanced.pt

Trains the configuration with its `balance:` section emptied, then as it is, into `runs/prime_samples/`; or takes two
existing models. Draws both to `prime_samples.png` and prints for each the share of high-scoring boxes that lie
elsewhere (score >= 0.3, IoU with an object of their class below 0.5) and the rank correlation of score and IoU over the
objects. Needs nothing but this package and, for `yolo26n.pt` to start from, the network; without it training starts
from scratch. On the demo set two runs of 20 epochs take about ten minutes on two CPU cores, two existing models a few
seconds; after 3 epochs from scratch no score reaches 0.3 yet.

The script is not a benchmark: one seed, one split, and boxes of one image are not independent trials, as the interval
takes them to be. Nor does the picture show which objects the detector finds: read recall at a
false-alarm budget for this.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ultralytics import YOLO

from yolo_balance import train
from yolo_balance.integration.data import class_names
from yolo_balance.integration.finished.validate_once import prime_samples
from yolo_balance.recall import PrimeSamples, interval
from yolo_balance.views.recall import prime_sample_plots

FOLDER = Path("runs/prime_samples").resolve()
PICTURE = Path("prime_samples.png")


def trained(options: argparse.Namespace) -> list[Path]:
    """Train a stock run and the configuration's, one after the other; return their best weights."""
    given = {"data": options.data, "epochs": options.epochs, "imgsz": options.imgsz, "project": str(FOLDER)}
    given |= {"exist_ok": True, "plots": False}
    train(options.config, **given, name="stock", balance=None)
    train(options.config, **given, name="balanced")
    return [FOLDER / name / "weights" / "best.pt" for name in ("stock", "balanced")]


def line(samples: PrimeSamples) -> str:
    """Write the line that is printed of one run."""
    share, n = samples.misplaced()
    hits = round((share or 0) * n)
    low, high = interval(hits, n)
    correlation = samples.correlation()
    correlated = "none" if correlation is None else f"{correlation:.2f}"
    return (
        f"{hits} of {n} boxes with score >= 0.3 lie below IoU 0.5, a share of "
        f"{'-' if share is None else f'{share:.2f}'} [{low:.2f}, {high:.2f}]; "
        f"rank correlation of score and IoU over {len(samples.iou)} objects {correlated}"
    )


def main() -> None:
    """Train if need be, read both models, draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--weights", type=Path, nargs=2, metavar=("STOCK.pt", "BALANCED.pt"))
    parser.add_argument("--config", default="cfg/pisa.yaml")
    parser.add_argument("--imgsz", type=int, default=128)
    options = parser.parse_args()
    panels = {}
    for name, weights in zip(("stock", Path(options.config).stem), options.weights or trained(options), strict=True):
        model = YOLO(weights)
        panels[name] = prime_samples(model, data=options.data, imgsz=options.imgsz, plots=False, verbose=False)
    prime_sample_plots.prime_samples(PICTURE, panels, class_names(model.names))
    for name, samples in panels.items():
        print(f"{name:8} {line(samples)}")
    print(f"Drawn to {PICTURE}")


if __name__ == "__main__":
    main()
