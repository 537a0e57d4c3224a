"""A run is balanced, or it stops with one line; a run that asks for nothing is not watched."""

from __future__ import annotations

import pytest
import torch
import yaml
from helpers.training import arguments, curves, run, weights
from ultralytics.data.dataset import YOLODataset
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.callbacks import default_callbacks

from yolo_balance.cli import main
from yolo_balance.errors import HostError

LOSSES = {"losses": {"focal": {"beta": 1.0}}}


class OtherImages(YOLODataset):
    """Reads the image after the one that is asked for."""

    def __getitem__(self, index):
        return super().__getitem__((index + 1) % len(self))


class OtherImagesTrainer(DetectionTrainer):
    def build_dataset(self, img_path, mode="train", batch=None):
        dataset = super().build_dataset(img_path, mode, batch)
        dataset.__class__ = OtherImages
        return dataset


def build_criterion_again(trainer):
    trainer.model.criterion = trainer.model.init_criterion()


def read_other_images(trainer):
    dataset = trainer.train_loader.dataset
    dataset.__class__ = type("Shifted", (OtherImages, type(dataset)), {})


@pytest.mark.parametrize("way", ["class", "attach"])
def test_a_callback_that_replaces_the_criterion_stops_the_run(tiny_data, tmp_path, way):
    callbacks = {"on_train_start": build_criterion_again}
    with pytest.raises(HostError, match="to call assigner, bce, bbox_loss of the balanced v8DetectionLoss, but the fi"):
        run(tiny_data, tmp_path, "run", way=way, balance=LOSSES, callbacks=callbacks, epochs=1)


def test_a_data_set_that_reads_other_images_stops_the_run(tiny_data, tmp_path):
    with pytest.raises(HostError, match=r"OtherImages.__getitem__ gave other images than the plan asks for"):
        run(tiny_data, tmp_path, "run", way="attach", balance={"sampling": {}}, trainer=OtherImagesTrainer, epochs=1)
    assert not (tmp_path / "run" / "weights" / "last.pt").exists()


@pytest.mark.parametrize(
    ("callback", "balance", "line"),
    [
        (build_criterion_again, LOSSES, "balance.losses: expected Ultralytics to call assigner, bce, bbox_loss"),
        (read_other_images, {"sampling": {}}, "balance.sampling: expected InfiniteDataLoader to load the images of"),
    ],
)
def test_the_command_line_ends_with_one_line(tiny_data, tmp_path, capsys, monkeypatch, callback, balance, line):
    monkeypatch.setitem(default_callbacks, "on_train_start", [callback])
    file = tmp_path / "run.yaml"
    content = {"model": "yolo11n.yaml", **arguments(tiny_data, tmp_path, "run", epochs=1), "balance": balance}
    file.write_text(yaml.safe_dump(content))
    assert main(["train", str(file)]) == 1
    printed = capsys.readouterr().err
    (error,) = [text for text in printed.splitlines() if text.startswith("error: ")]
    assert error.startswith(f"error: {line}")
    assert "Traceback" not in printed


def test_an_entirely_off_run_is_stock_whatever_is_replaced(tiny_data, tmp_path):
    for way in ("stock", "attach"):
        callbacks = {"on_train_start": build_criterion_again}
        run(tiny_data, tmp_path, way, way=way, balance={}, callbacks=callbacks, trainer=OtherImagesTrainer, epochs=2)
    assert curves(tmp_path / "attach") == curves(tmp_path / "stock")
    assert torch.equal(weights(tmp_path / "attach"), weights(tmp_path / "stock"))
