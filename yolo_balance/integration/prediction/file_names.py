"""Files that OpenCV cannot write or open: it ends the process at names that are not UTF-8, and is silent otherwise."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ultralytics.data.utils import VID_FORMATS
from ultralytics.engine.predictor import BasePredictor
from ultralytics.utils import LOGGER

from yolo_balance.integration.compat import mix_in
from yolo_balance.integration.protocols import Predictor
from yolo_balance.text import plain

if TYPE_CHECKING:
    Stock = Predictor
else:
    Stock = BasePredictor


class UTF8PicturesMixin(Stock):
    """Predictor that leaves out annotated pictures whose names OpenCV cannot write."""

    def save_predicted_images(self, save_path: Path, frame: int | None = 0) -> None:
        """Save a picture as Ultralytics does, or log one line where it cannot be saved."""
        if not is_utf8(save_path):
            LOGGER.warning(f"{plain(str(save_path))}: not saved, OpenCV writes no picture whose name is not UTF-8")
            return
        super().save_predicted_images(save_path, frame)
        picture = save_path.with_suffix(".jpg")
        if save_path.suffix[1:].lower() not in VID_FORMATS and not _is_whole(picture):
            picture.unlink(missing_ok=True)
            LOGGER.warning(f"{plain(str(picture))}: not saved, the picture cannot be written (is the disk full?)")


def _is_whole(picture: Path) -> bool:
    """Whether a JPEG is there to its end marker."""
    try:
        with picture.open("rb") as file:
            file.seek(-2, os.SEEK_END)
            return file.read() == b"\xff\xd9"
    except OSError:
        return False


def leave_out_pictures(predictor: Predictor) -> None:
    """Make a predictor leave out pictures that OpenCV cannot write; a callback for `on_predict_start`."""
    mix_in(predictor, UTF8PicturesMixin)


def is_utf8(path: str | Path) -> bool:
    """Whether a path is UTF-8 on disk."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def video_problems(files: Sequence[str]) -> list[str]:
    """Return a line for each video whose name OpenCV cannot open."""
    return [
        f"source: expected a name in UTF-8, which OpenCV needs to open a video, got {plain(file)}"
        for file in files
        if os.path.splitext(file)[1][1:].lower() in VID_FORMATS and not is_utf8(file)
    ]
