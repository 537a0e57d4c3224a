"""`predict`: images through a finished model at the thresholds of its weights, a zone for each."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from ultralytics import YOLO

from yolo_balance.early_checks import MISSING, TAKEN, taken
from yolo_balance.errors import BalanceError, ConfigError, HostError
from yolo_balance.files import csv_text
from yolo_balance.integration.arguments import argument_problems
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import class_names
from yolo_balance.integration.models import thresholds_beside
from yolo_balance.integration.outside_errors import outside_errors
from yolo_balance.integration.prediction.attach_thresholds import attach_thresholds
from yolo_balance.integration.prediction.file_names import leave_out_pictures
from yolo_balance.integration.prediction.sources import passed_over, source_files
from yolo_balance.integration.protocols import Prediction
from yolo_balance.recall.decisions.thresholds import Zone
from yolo_balance.text import plain

ZONES = "zones.csv"
COLUMNS = ("file", "zone", "boxes", "found")


@dataclass(frozen=True)
class ImageDecision:
    """The decision on one image, or on one frame of a video.

    Attributes:
        file: The image or video.
        zone: The zone; `unread` for an image that Ultralytics could not read.
        boxes: Class name and confidence of each box kept, in Ultralytics' order.
    """

    file: str
    zone: Zone | Literal["unread"]
    boxes: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        """Return one line: zone, file, then class and confidence of each box."""
        found = ", ".join(f"{plain(_quoted(name))} {confidence:.3f}" for name, confidence in self.boxes)
        return f"{self.zone:<6}  {plain(self.file)}  {found}".rstrip()

    def row(self) -> tuple[str, ...]:
        """Return the values of COLUMNS."""
        found = ", ".join(f"{_quoted(name)} {confidence:.6f}" for name, confidence in self.boxes)
        return csv_text(self.file), self.zone, str(len(self.boxes)), csv_text(found)


def predict(
    weights: str | Path,
    source: str | Path,
    *,
    thresholds: str | Path | None = None,
    arguments: Mapping[str, object] | None = None,
    each: Callable[[ImageDecision], None] = lambda decision: None,
) -> tuple[list[ImageDecision], Path, list[str]]:
    """Predict at thresholds and write `zones.csv` into the run's folder, a row as each image is judged.

    Args:
        weights: A checkpoint or exported model on disk.
        source: An image, a video, a folder or glob of them, or a .txt or .csv file that lists them.
        thresholds: The `thresholds.yaml` of the weights; when left out, the one beside the weights, else the one beside
            their folder, where a run has it.
        arguments: Arguments of Ultralytics' `predict`; annotated images are saved unless `save` is false.
        each: Called with every decision as it is made.

    Returns:
        All decisions in Ultralytics' order, the path of `zones.csv`, and a line for each reason why images of the
        source are not judged.

    Raises:
        ConfigError: With every problem of the arguments, or of the thresholds.
        HostError: The weights cannot be used, or report no boxes; or predict was stopped from outside, as by a full
            disk.
    """
    options = {"save": True, "verbose": False, **(arguments or {})}
    files, problems = source_files(source)
    if not (Path(weights).is_file() or Path(weights).is_dir()):
        problems.insert(0, MISSING["weights"].format(weights))
    problems += taken(options)
    problems += argument_problems({key: value for key, value in options.items() if key not in TAKEN})
    if problems:
        raise ConfigError(problems)
    found = thresholds_beside(Path(weights)) if thresholds is None else Path(thresholds)
    try:
        model = attach_thresholds(YOLO(str(weights), task=options.get("task")), found)
    except BalanceError:
        raise
    except Exception as e:  # no model, or an exported one whose runtime is not installed
        raise HostError(f"weights: {weights} cannot be loaded ({one_line(e)})") from e

    left_out = passed_over(source, files)
    model.add_callback("on_predict_start", leave_out_pictures)
    decisions: list[ImageDecision] = []
    with outside_errors("predict", lambda: getattr(model.predictor, "save_dir", None)):
        results = model.predict(str(Path(source).absolute()), stream=True, **options)
        table = Path(model.predictor.save_dir) / ZONES
        made = _decided(results, files)
        first = list(islice(made, 1))  # weights that an export names are refused before a row is written
        table.parent.mkdir(parents=True, exist_ok=True)  # Ultralytics makes it only where it saves
        with table.open("w", newline="", encoding="utf-8", errors="backslashreplace") as rows:
            csv.writer(rows).writerow(COLUMNS)
            for decision in chain(first, made):
                csv.writer(rows).writerow(decision.row())
                rows.flush()  # a predict that is killed keeps the rows of the images that it judged
                decisions.append(decision)
                each(decision)
    return decisions, table, left_out


def _decided(results: Iterable[Prediction], files: Sequence[str]) -> Iterator[ImageDecision]:
    """Yield the decision on each image that Ultralytics reads, then on those that it could not read."""
    unread = set(files)
    for result in results:
        unread.discard(result.path)
        yield _decision(result)
    for file in sorted(unread):  # Ultralytics goes on with a warning
        yield ImageDecision(file, "unread")


def _quoted(name: str) -> str:
    """Return a class name, as JSON where its own commas or quotation marks would read as another box."""
    return json.dumps(name, ensure_ascii=False) if "," in name or '"' in name else name


def _decision(result: Prediction) -> ImageDecision:
    boxes = result.obb if result.obb is not None else result.boxes
    names = class_names(result.names)
    zone: Zone = vars(result)["zone"]
    found = zip(boxes.cls.int().tolist(), boxes.conf.tolist(), strict=True)
    return ImageDecision(result.path, zone, tuple((names[c], confidence) for c, confidence in found))
