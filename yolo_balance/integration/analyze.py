"""`analyze`: labels as Ultralytics' own scanner reads and caches them, the cost of their imbalance, and the files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ultralytics.cfg import DEFAULT_CFG_DICT, get_cfg
from ultralytics.data.dataset import ClassificationDataset
from ultralytics.data.utils import check_cls_dataset
from ultralytics.utils import DATASETS_DIR

from yolo_balance.analysis.analysis import DataAnalysis
from yolo_balance.analysis.split import Labels
from yolo_balance.analysis.suggest import HEADER, suggest
from yolo_balance.arrays import Ints
from yolo_balance.bounded_files import read_text
from yolo_balance.config import SECTION, BalanceConfig, apply_overrides, parse_section, read_yaml
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.files import write_bytes_whole, write_whole
from yolo_balance.integration.arguments import argument_problems, complete
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import Scan, box_classes, class_names, read_data, resolve_data, scan
from yolo_balance.integration.pixels import sample_pixels
from yolo_balance.integration.preview import preview as draw_preview
from yolo_balance.integration.protocols import DataContent
from yolo_balance.integration.training.made_images import boxes_by_class, made_images
from yolo_balance.integration.training.run_pastes import sources_of
from yolo_balance.resolution import ResolvedBalance, resolve
from yolo_balance.sampling import ClassStatistics
from yolo_balance.views.analysis import analysis_page

SPLITS = ("train", "val", "test")
TASKS = ("detect", "segment", "pose", "obb", "classify")
MODEL_SUFFIXES = {"-seg": "segment", "-pose": "pose", "-obb": "obb", "-cls": "classify"}
SCANNING = ("imgsz", "single_cls", "classes", "fraction")  # the run's arguments that decide which labels it sees
PAGE, FIGURES, SUGGESTION, PREVIEW = "analysis.html", "analysis.json", "suggested.yaml", "preview.jpg"


def analyze(
    source: str | Path,
    *,
    out: str | Path | None = None,
    suggestion: str | Path | bool = False,
    preview: str | Path | bool = False,
    overrides: Mapping[str, object] | None = None,
) -> tuple[DataAnalysis, list[Path]]:
    """Analyse a data set and write the page, the figures and, if asked, a YAML to start from.

    Args:
        source: A data YAML, a whole run's YAML, or anything else Ultralytics takes as `data`.
        out: Folder of the files; `<stem>_analysis` in the working directory when left out.
        suggestion: Path of the suggested YAML, or True for `suggested.yaml` in that folder.
        preview: Path of a picture of training samples, or True for `preview.jpg` in that folder.
        overrides: Keys that replace those of the run, dotted or not.

    Returns:
        The analysis, and the files written.

    Raises:
        ConfigError: With every problem of the file, or for a file that cannot be written.
        DataError: The data set is missing, unreadable, or nothing can be suggested for it.
    """
    given = overrides or {}
    read = _read(source, given)
    analysis, train, run, asked = read.analysis, read.train, read.run, read.resolved.asked
    folder = Path(f"{Path(source).resolve().stem}_analysis" if out is None else out)
    files: list[tuple[Path, str, str | bytes]] = [
        (folder / PAGE, "--out", analysis_page.render(analysis)),
        (folder / FIGURES, "--out", analysis.to_json()),
    ]
    if preview:
        target = folder / PREVIEW if preview is True else Path(preview)
        if read.content is None:
            raise ConfigError("--preview: not for task classify, whose images are shown as they are")
        arguments = complete({**run, "task": analysis.task, "data": resolve_data(analysis.data, "detect")})
        picture = draw_preview(arguments, read.content, read.resolved, target)
        files.append((target, "--out" if preview is True else "--preview", picture))
    if suggestion:
        target = folder / SUGGESTION if suggestion is True else Path(suggestion)
        file = Path(analysis.data)
        text = suggest(
            analysis,
            train,
            data=str(file.resolve()) if file.exists() else analysis.data,
            run=run,
            origins={k: "as given" if k in given else f"as in {Path(source).name}" for k in run},
            epochs=int(DEFAULT_CFG_DICT["epochs"]),
            asked=asked,
        )
        _check_ours(target)
        files.append((target, "--out" if suggestion is True else "--suggest", text))
    for path, option, written in files:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if isinstance(written, bytes):
                write_bytes_whole(path, written)
            else:
                write_whole(path, written)
        except OSError as e:
            place = folder if option == "--out" else path
            raise ConfigError(f"{option}: {place} cannot be written ({one_line(e)})") from e
    return analysis, [path for path, _, _ in files]


class DataRead(NamedTuple):
    """A data set as it was read.

    Attributes:
        analysis: The analysis.
        train: Labels of train.
        run: The run's stated arguments without `data`.
        resolved: The run's section on the data.
        content: The data YAML, None for an image folder.
    """

    analysis: DataAnalysis
    train: Labels
    run: dict[str, object]
    resolved: ResolvedBalance
    content: DataContent | None


def _read(source: str | Path, overrides: Mapping[str, object]) -> DataRead:
    """Analyse the splits that a run of `source` would see."""
    arguments, balance = _arguments(source, overrides)
    name = str(arguments.pop("data"))
    task = _named_task(arguments)
    imgsz = _image_size(arguments)
    data = resolve_data(name, "detect")
    if task == "classify" or (task is None and _is_image_folder(Path(data))):
        task, content, objects, made = "classify", None, None, None
        names, labels = _classified(name, arguments)
    else:
        content = read_data(data)
        task = task or ("pose" if content.get("kpt_shape") else "detect")
        names, labels, objects = _labelled(name, content, task, arguments)
        known = [str(file) for part in labels for file in part.files]
        cfg = get_cfg(overrides={**complete({**arguments, "task": task}), "data": data})
        made = boxes_by_class(made_images(balance.made, cfg, content, known), len(names))
    completed = complete({**arguments, "task": task, "data": data})
    resolved = resolve(balance, labels[0].statistics, names, completed, labels[0].files, objects=objects, made=made)
    analysis = DataAnalysis.of(
        labels, names, data=name, task=task, imgsz=imgsz, schedule=resolved.schedule, explained=resolved.explained
    )
    return DataRead(analysis, labels[0], arguments, resolved, content)


def _arguments(source: str | Path, overrides: Mapping[str, object]) -> tuple[dict[str, object], BalanceConfig]:
    """Return a run's arguments and section, checked; a source that is not a run's YAML is the data set alone."""
    content: dict[str, object] = {"data": str(source)}
    path = Path(source)
    if path.is_file() and path.suffix.lower() in (".yaml", ".yml"):
        read = read_yaml(path)
        if {"data", "model", SECTION} & set(read):
            content = read
    arguments = apply_overrides(content, overrides)
    balance, problems = parse_section(arguments.pop(SECTION, None))
    elsewhere = ("task", "device")  # the task is checked below, and no device is used
    problems += argument_problems({k: v for k, v in arguments.items() if k not in elsewhere})
    if not arguments.get("data"):
        problems.append("data: missing, expected a data YAML or demo")
    if arguments.get("task") not in (None, *TASKS):
        problems.append(f"task: expected one of {', '.join(TASKS)}, got {arguments['task']}")
    if problems or balance is None:
        raise ConfigError(problems)
    arguments.pop("resume", None)
    return arguments, balance


def _named_task(arguments: Mapping[str, object]) -> str | None:
    if arguments.get("task"):
        return str(arguments["task"])
    stem = Path(str(arguments.get("model") or "")).stem
    return next((task for suffix, task in MODEL_SUFFIXES.items() if stem.endswith(suffix)), None)


def _image_size(arguments: Mapping[str, object]) -> int:
    imgsz = arguments.get("imgsz")
    imgsz = DEFAULT_CFG_DICT["imgsz"] if imgsz is None else imgsz
    sides = imgsz if isinstance(imgsz, list) else [imgsz]
    if not sides or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ConfigError(f"imgsz: expected a positive whole number, got {imgsz}")
    return int(max(sides))


def _chosen(arguments: Mapping[str, object], num_classes: int) -> list[int]:
    """Return the class ids that `classes` keeps, in order."""
    classes = arguments.get("classes")
    if classes is None:
        return list(range(num_classes))
    ids = classes if isinstance(classes, list) else [classes]
    if not ids or not all(isinstance(i, int) and 0 <= i < num_classes for i in ids):
        raise ConfigError(f"classes: expected class ids from 0 to {num_classes - 1}, got {classes}")
    return sorted(set(ids))


def _labelled(
    name: str, data: DataContent, task: str, arguments: Mapping[str, object]
) -> tuple[list[str], list[Labels], Ints]:
    """Return names and splits of a data set with label files, and (C,) objects of train that can be cut out.

    The labels come through Ultralytics' scanner and its cache.
    """
    names = class_names(data["names"])
    kept = _chosen(arguments, len(names))
    if arguments.get("single_cls"):
        names, new_id = ["item"], np.zeros(len(names), np.int64)
    else:
        names, new_id = [names[i] for i in kept], np.full(len(names), -1)
        new_id[kept] = np.arange(len(kept))
    if not data.get("train"):
        raise DataError(f"data: {name} names no train split")
    scanning = {key: arguments[key] for key in SCANNING if arguments.get(key) is not None}
    cfg = get_cfg(overrides={**scanning, "cache": False, "task": task})
    labels, objects = [], np.zeros(len(names), np.int64)
    for split in SPLITS:
        if not data.get(split):
            continue
        dataset = scan(cfg, data, split, split)
        if split == "train":
            objects = sources_of(dataset, len(names), new_id).counts
        refused = Scan.of(dataset)
        labels.append(
            Labels(
                split,
                ClassStatistics.of([new_id[c.astype(np.int64)] for c in box_classes(dataset)], len(names)),
                [label["im_file"] for label in dataset.labels],
                np.concatenate([label["bboxes"] for label in dataset.labels]).astype(np.float64)[:, 2:4],
                np.array([label["shape"] for label in dataset.labels], np.float64),
                ignored=refused.ignored,
                unlabelled=len(refused.without_file),
                pixels=sample_pixels(dataset.im_files),
            )
        )
    return names, labels, objects


def _is_image_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.glob("*.y*ml"))


def _classified(data: str, arguments: Mapping[str, object]) -> tuple[list[str], list[Labels]]:
    """Return names and splits of a folder of class folders; a class that train lacks counts as a class."""
    folder = next((f for f in (Path(data), DATASETS_DIR / data) if f.is_dir()), None)
    if folder is None or not (folder / "train").is_dir():  # Ultralytics would download it, or cut a split of its own
        raise DataError(f"data: {data} is not a folder with a folder train in it, one folder per class")
    try:
        found = check_cls_dataset(folder)
        args = get_cfg(overrides={"fraction": arguments.get("fraction") or 1.0, "cache": False})
        read = {s: ClassificationDataset(found[s], args, augment=s == "train", prefix=s) for s in SPLITS if found[s]}
    except Exception as e:
        raise DataError(f"data: {data} cannot be used ({one_line(e)})") from e
    folders = sorted({name for dataset in read.values() for name in dataset.base.classes})
    index = {name: 0 if arguments.get("single_cls") else i for i, name in enumerate(folders)}
    names = ["item"] if arguments.get("single_cls") else folders
    labels = []
    for split, dataset in read.items():
        files = [str(sample[0]) for sample in dataset.samples]
        classes = [index[Path(file).relative_to(dataset.root).parts[0]] for file in files]
        statistics = ClassStatistics.of((classes, np.arange(len(files)), len(files)), len(names))
        whole = not arguments.get("fraction")
        ignored = len(dataset.base) - len(files) if whole else None
        labels.append(Labels(split, statistics, files, ignored=ignored, pixels=sample_pixels(files)))
    return names, labels


def _check_ours(path: Path) -> None:
    """Refuse to write a suggestion over somebody's own file."""
    try:
        ours = not path.exists() or read_text(path).startswith(HEADER)
    except (OSError, ValueError):
        ours = False
    if not ours:
        raise ConfigError(f"--suggest: {path} exists and was not written by analyze; name another file")
