"""The contract names each kind of break in one line, on copies of Ultralytics' own classes; the release kept it."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
import time
from typing import get_type_hints

import pytest
import torch
from ultralytics.data.build import InfiniteDataLoader
from ultralytics.models.utils.loss import DETRLoss
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import loss, tal
from ultralytics.utils.loss import BboxLoss
from ultralytics.utils.tal import TaskAlignedAssigner

from yolo_balance.errors import HostError
from yolo_balance.integration import contract, protocols

SUBJECTS = [
    pkgutil.resolve_name(module.name) for module in pkgutil.iter_modules(protocols.__path__, f"{protocols.__name__}.")
]
PROTOCOLS = [p for s in SUBJECTS for p in vars(s).values() if isinstance(p, type) and p.__module__ == s.__name__]


def test_the_installed_release_keeps_the_contract():
    ran = subprocess.run(
        [sys.executable, "-m", "yolo_balance.integration.contract"], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.splitlines()[-1].endswith(": nothing is missing")


def test_the_check_at_the_start_of_a_run_is_quick():
    contract.check()
    begun = time.process_time()
    contract.check()
    assert time.process_time() - begun < 0.2  # 10 ms on a free core


def test_a_method_that_is_gone_is_a_line():
    class Loader:
        def __len__(self):
            return 0

        __iter__ = InfiniteDataLoader.__iter__

    (line,) = contract.problems_of_class(protocols.Loader, Loader)
    assert line.startswith("Loader.reset: missing; used by hooks/loader.py:")


def test_an_argument_of_another_name_is_a_line():
    class Trainer(DetectionTrainer):
        def get_dataloader(self, path, batch_size=16, rank=0, mode="train"):
            return super().get_dataloader(path, batch_size, rank, mode)

    (line,) = contract.problems_of_class(protocols.Trainer, Trainer)
    assert line.startswith(
        "Trainer.get_dataloader: expected (dataset_path, batch_size, rank, mode), got (path, batch_size, rank, mode); "
        "used by "
    )
    assert "training/trainer.py:" in line


def test_arguments_in_another_order_are_a_line():
    class Loss(BboxLoss):
        def forward(self, pred_dist, pred_bboxes, anchor_points, target_scores, target_bboxes, scores_sum, fg_mask):
            return super().forward(pred_dist, pred_bboxes, anchor_points, target_bboxes, target_scores, scores_sum)

    class Assigner(TaskAlignedAssigner):
        def forward(self, pd_bboxes, pd_scores, anc_points, gt_labels, gt_bboxes, mask_gt):
            return super().forward(pd_scores, pd_bboxes, anc_points, gt_labels, gt_bboxes, mask_gt)

    (line,) = contract.problems_of_class(protocols.BoxLoss, Loss)
    assert "got (pred_dist, pred_bboxes, anchor_points, target_scores, target_bboxes, scores_sum, fg_mask)" in line
    (line,) = contract.problems_of_class(protocols.Assigner, Assigner)
    assert line.startswith("Assigner.__call__: expected (pd_scores, pd_bboxes, ")


def test_an_argument_that_is_new_and_required_is_a_line():
    class Loss(DETRLoss):
        def _get_loss_bbox(self, pred_bboxes, gt_bboxes, weights, postfix=""):
            return super()._get_loss_bbox(pred_bboxes, gt_bboxes, postfix)

    (line,) = contract.problems_of_class(protocols.DETRCriterion, Loss)
    assert line.startswith("Loss._get_loss_bbox: expected (pred_bboxes, gt_bboxes, postfix), got (")


def test_optional_arguments_behind_ours_and_any_arguments_are_none():
    class Trainer(DetectionTrainer):
        def get_dataloader(self, *args, **kwargs):
            return super().get_dataloader(*args, **kwargs)

        def preprocess_batch(self, batch, *, fast=False):
            return super().preprocess_batch(batch)

    assert contract.problems_of_class(protocols.Trainer, Trainer) == []


def test_an_attribute_that_is_gone_is_a_line():
    loader = InfiniteDataLoader([1, 2, 3])
    loader.generator = torch.Generator()
    assert contract.problems_of_object(protocols.Loader, loader) == []
    del loader.iterator
    (line,) = contract.problems_of_object(protocols.Loader, loader)
    assert line.startswith("InfiniteDataLoader.iterator: attribute missing; used by hooks/loader.py:")


def test_a_key_that_is_gone_is_a_line():
    (line,) = contract.problems_of_object(protocols.Batch, {"img": 0, "cls": 0})
    assert line.startswith("dict.im_file: key missing; ")


@pytest.mark.parametrize(("release", "missing"), [("8.4.0", "pt"), ("8.4.40", "format"), ("8.5.0", "format")])
def test_an_attribute_of_some_releases_is_expected_in_those_only(monkeypatch, release, missing):
    monkeypatch.setattr(contract.ultralytics, "__version__", release)
    lines = contract.problems_of_object(protocols.Backend, torch.nn.Identity())
    assert [line.split(".")[1].split(":")[0] for line in lines if "pt:" in line or "format:" in line] == [missing]


def test_a_name_that_cannot_be_imported_is_a_line(monkeypatch):
    assert contract.import_problems() == []
    monkeypatch.delattr("ultralytics.utils.downloads.GITHUB_ASSETS_NAMES")
    (line,) = contract.import_problems()
    assert line.startswith("ultralytics.utils.downloads.GITHUB_ASSETS_NAMES: missing; imported by models.py:")


def test_a_call_that_a_function_no_longer_takes_is_a_line(monkeypatch):
    def build_yolo_dataset(cfg, img_path, batch, data, mode="train", *, stride):
        """A release that demands the stride."""

    monkeypatch.setattr("ultralytics.data.build.build_yolo_dataset", build_yolo_dataset)
    lines = contract.import_problems()
    assert len(lines) == sum(
        isinstance(node, ast.Call) and getattr(node.func, "id", "") == "build_yolo_dataset"
        for tree in contract._sources().values()
        for node in ast.walk(tree)
    )
    assert all("missing a required argument: 'stride'; called by " in line for line in lines)


def test_a_class_that_is_gone_is_a_line_and_a_run_does_not_start(monkeypatch):
    monkeypatch.delattr(loss, "RotatedBboxLoss")
    monkeypatch.delattr(tal.TaskAlignedAssigner, "forward")
    lines = contract.method_problems()
    assert "ultralytics.utils.loss.RotatedBboxLoss: missing; it is our BoxLoss" in lines
    with pytest.raises(HostError, match=r"^ultralytics 8.* does not fit yolo_balance: .* more, see `python -m .*`\)$"):
        contract.check()


def test_the_list_has_the_classes_of_every_subject():
    assert len(PROTOCOLS) > 30
    assert [protocol for protocol in PROTOCOLS if getattr(protocols, protocol.__name__, None) is not protocol] == []


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.__name__)
def test_every_name_of_the_list_is_used(protocol):
    """A name that nothing leans on is no part of the contract."""
    names = {*get_type_hints(protocol), *contract._methods(protocol)} - {"__call__", "__getitem__", "__len__"}
    if protocol is not protocols.Releases:
        assert [name for name in names if contract.leans_on(name) == "used nowhere"] == []
