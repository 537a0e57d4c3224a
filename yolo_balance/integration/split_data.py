"""`split`: a data set divided into train and val, or into folds, as list files and data YAMLs beside the data."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from ultralytics.data.utils import IMG_FORMATS, img2label_paths

from yolo_balance.analysis.duplicates import find_duplicates
from yolo_balance.config import read_yaml
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.files import write_whole
from yolo_balance.image_keys import ImageKeys
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import class_names, read_data, resolve_data
from yolo_balance.recall.evidence.units import joined, unit_ids
from yolo_balance.sampling.division import Division
from yolo_balance.text import counted, plain

TRAIN, VAL, TEST = "train", "val", "test"
POOLED = (TRAIN, VAL)
PLACES = (*POOLED, TEST, "path", "download", "minival")
"""Keys of a data YAML that say where images lie; all others are copied."""


def split_data(
    data: str | Path,
    *,
    folds: int | None = None,
    val: float = 0.2,
    test: float = 0.0,
    units: str | None = None,
    out: str | Path | None = None,
    seed: int = 0,
) -> Division:
    """Divide the images of train and val anew and write lists and data YAMLs; the data stays as it is.

    Classes are stratified by boxes (`stratify`); images of one unit and identical files stay together. A test split
    that the data has is no part of it, and every YAML names it.

    Args:
        data: A data YAML of labelled boxes, or demo.
        folds: Number of folds, each of them val in a YAML of its own; None for one train and one val.
        val: Share of val without folds, in (0, 1).
        test: Share of a test part, in [0, 1); 0 for none.
        units: Rule of `ImageKeys` on what belongs together; None for single images.
        out: A new or empty folder; `<stem>_split` in the working folder when left out.
        seed: Seed of the random choices; same data, same seed, same parts.

    Raises:
        ConfigError: Options that do not fit together, an image without a unit, or a folder that is there.
        DataError: The data is missing, has no box, or fewer units than parts.
    """
    shares = _shares(folds, val, test)
    path = resolve_data(data, "detect")
    folder = Path(f"{Path(path).resolve().stem}_split" if out is None else out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"--out: expected a new or empty folder, got {folder}, which has content")
    content = read_data(path, download=False)
    names = class_names(content["names"])
    pooled, own_test = (content["train"], content["val"]), content.get("test")
    kept = image_list(own_test) if own_test else []
    if kept and test:
        raise ConfigError(f"--test: expected 0 for data with a test split of its own, got {test:g}")
    listed_files = dict.fromkeys(file for places in pooled for file in image_list(places))
    files, classes, left_out = _labelled(sorted(listed_files), len(names))
    if not files or not any(classes):
        raise DataError(f"data: {path} has {counted(len(files), 'usable image')} in train and val, and no box")

    groups = find_duplicates([*files, *kept])
    copies = [inside for group in groups if len(inside := [i for i in group if i < len(files)]) > 1]
    in_test = sum(i < len(files) for group in groups if group[-1] >= len(files) for i in group)
    keys = files if units is None else ImageKeys.read(units, option="--units", folder=Path(path).parent).of(files)
    unit = joined(unit_ids(keys), copies)
    boxes = np.array([np.bincount(found, minlength=len(names)) for found in classes], np.int64)
    division = Division.of(boxes, unit, names, shares, seed=seed)
    parts = {name: [files[i] for i in division.members(name)] for name in shares}
    return replace(
        division,
        copies=sum(len(group) - 1 for group in copies),
        in_test=in_test,
        left_out=tuple(left_out),
        files=_write(folder, path, parts, own_test),
    )


def image_list(places: str | Sequence[str]) -> list[str]:
    """Return the image files of a split, from folders and list files, as Ultralytics reads them. Raises DataError."""
    files: list[str] = []
    for place in map(Path, [places] if isinstance(places, str) else places):
        if place.is_dir():
            files += sorted(glob.glob(os.path.join(glob.escape(str(place)), "**", "*.*"), recursive=True))
        else:
            try:
                lines = place.read_text(encoding="utf-8-sig").strip().splitlines()
            except (OSError, ValueError) as e:
                raise DataError(f"data: {plain(str(place))} cannot be read ({one_line(e)})") from None
            files += [os.path.join(place.parent, line[2:]) if line.startswith("./") else line for line in lines]
    return [os.path.abspath(file) for file in files if file.rpartition(".")[2].lower() in IMG_FORMATS]


def _shares(folds: int | None, val: float, test: float) -> dict[str, float]:
    """Return the share of each part by its name."""
    if not 0 <= test < 1:
        raise ConfigError(f"--test: expected a share in [0, 1), got {test:g}")
    if folds is not None and folds < 2:
        raise ConfigError(f"--folds: expected 2 or more, got {folds}")
    if folds is None and not 0 < val < 1 - test:
        raise ConfigError(f"--val: expected a share above 0 that leaves a part for train, got {val:g}")
    if folds is None:
        shares = {TRAIN: 1 - val - test, VAL: val}
    else:
        shares = {f"fold{i}": (1 - test) / folds for i in range(1, folds + 1)}
    return {**shares, TEST: test} if test else shares


def _labelled(files: Sequence[str], num_classes: int) -> tuple[list[str], list[list[int]], list[str]]:
    """Return images, the classes of their boxes, and a line for each image whose label file cannot be used.

    The label files are read here: Ultralytics' scanner writes a cache, and mended images, into the data.
    """
    found, classes, left_out = [], [], []
    for file, label in zip(files, img2label_paths(list(files)), strict=True):
        if len(file.splitlines()) != 1 or file != file.strip() or not file.isprintable():
            left_out.append(f"{plain(file)}: no name that a list file can hold")
            continue
        try:
            text = Path(label).read_text(encoding="utf-8-sig") if os.path.isfile(label) else ""
            ids = [int(float(row.split()[0])) for row in dict.fromkeys(text.splitlines()) if row.strip()]
            if wrong := [i for i in ids if not 0 <= i < num_classes]:
                raise ValueError(f"class {wrong[0]}, expected 0 to {num_classes - 1}")
        except (OSError, ValueError, OverflowError) as e:
            left_out.append(f"{plain(Path(label).name)}: {one_line(e)}")
            continue
        found.append(file)
        classes.append(ids)
    return found, classes, left_out


def _write(folder: Path, data: str, parts: Mapping[str, Sequence[str]], test: object) -> tuple[Path, ...]:
    """Write a YAML and its lists for each division into train and val; return the YAMLs."""
    given = {key: value for key, value in read_yaml(data).items() if key not in (*PLACES, "validation")}
    folds = [name for name in parts if name not in (TRAIN, VAL, TEST)]
    lists = {name: parts[name] for name in (TRAIN, VAL, TEST) if name in parts}
    sets = {"data": {name: f"{name}.txt" for name in lists}}
    if folds:
        sets = {}
        for fold in folds:
            lists[f"{fold}_{TRAIN}"] = [file for other in folds if other != fold for file in parts[other]]
            lists[f"{fold}_{VAL}"] = parts[fold]
            sets[fold] = {name: f"{fold}_{name}.txt" for name in POOLED} | ({TEST: "test.txt"} if TEST in parts else {})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, files in lists.items():
            write_whole(folder / f"{name}.txt", "".join(f"{file}\n" for file in sorted(files)))
        for name, places in sets.items():
            content = {**places, **({TEST: test} if test else {}), **given}
            write_whole(folder / f"{name}.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    except OSError as e:
        raise ConfigError(f"--out: {folder} cannot be written ({one_line(e)})") from e
    return tuple(folder / f"{name}.yaml" for name in sets)
