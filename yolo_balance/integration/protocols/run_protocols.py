"""Arguments and callbacks of a run of Ultralytics: training, validation or prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Callback = Callable[..., object]


class Arguments(Protocol):
    """A run's arguments, a trainer's, validator's or predictor's `args`."""

    task: str
    mode: str
    model: str
    data: str
    classes: list[int] | int | None
    single_cls: bool
    split: str
    imgsz: int
    multi_scale: float
    cache: str | bool | None
    copy_paste: float
    fliplr: float
    flipud: float
    nbs: int
    time: float | None
    seed: int
    plots: bool
    conf: float  # validators and predictors fill in their own default
    iou: float
    max_det: int
    agnostic_nms: bool
    augment: bool
    rect: bool
    embed: list[int] | None
    resume: str | bool
    save_dir: str
