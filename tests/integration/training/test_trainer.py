"""Whole runs on Ultralytics: off is stock, both ways in are one run, and runs survive what Ultralytics does to them."""

from __future__ import annotations

import subprocess
import sys

import cloudpickle
import numpy as np
import pytest
import torch
import yaml
from helpers.training import BALANCE, Interrupted, OwnTrainer, arguments, curves, rows, run, weights
from ultralytics import YOLO

from yolo_balance import BalanceConfig, BalancedDetectionTrainer, RecallReport, attach
from yolo_balance.errors import ConfigError, HostError
from yolo_balance.integration.hooks.criterion import WeightedBCE
from yolo_balance.integration.hooks.dataset import CountingMixin
from yolo_balance.integration.hooks.loader import EpochBatches
from yolo_balance.integration.training.trainer import BalancedTrainerMixin


@pytest.mark.parametrize("model", [pytest.param("yolo11n.yaml", marks=pytest.mark.long), "yolo26n.yaml"])
def test_off_is_stock_bit_for_bit(tiny_data, tmp_path, model):
    run(tiny_data, tmp_path, "stock", way="stock", model=model)
    run(tiny_data, tmp_path, "class", way="class", balance={}, model=model)
    run(tiny_data, tmp_path, "plain", way="stock", trainer=BalancedDetectionTrainer, model=model)
    run(tiny_data, tmp_path, "attach", way="attach", balance={}, model=model)
    for name in ("class", "plain", "attach"):
        assert curves(tmp_path / name) == curves(tmp_path / "stock")
        assert torch.equal(weights(tmp_path / name), weights(tmp_path / "stock"))
        assert (tmp_path / name / "recall.json").exists()  # it reports all the same


def test_off_is_stock_bit_for_bit_with_images_in_memory(tiny_data, tmp_path):
    for name, way in (("stock", "stock"), ("attach", "attach")):
        run(tiny_data, tmp_path, name, way=way, balance={}, cache="ram", mixup=0.5, epochs=2)
    assert torch.equal(weights(tmp_path / "attach"), weights(tmp_path / "stock"))


@pytest.fixture(scope="module")
def balanced(tiny_data, tmp_path_factory):
    """The same balanced run of YOLO26 by both ways in, and what their trainers looked like at the end."""
    folder = tmp_path_factory.mktemp("balanced")
    trainers = {}
    for way in ("class", "attach"):
        seen = {"on_train_end": lambda t, way=way: trainers.update({way: t})}
        run(tiny_data, folder, way, way=way, balance=BALANCE, callbacks=seen, model="yolo26n.yaml")
    return folder, trainers


def test_both_ways_in_give_the_same_run_also_with_shorter_epochs(tiny_data, tmp_path):
    """With so few batches Ultralytics caps the gradient accumulation by the length of the run, which sampling changes."""
    accumulate = {}
    for way in ("class", "attach"):
        callbacks = {"on_train_start": lambda t, way=way: accumulate.update({way: t.accumulate})}
        balance = {"sampling": {"epoch_size": 0.5}}
        run(tiny_data, tmp_path, way, way=way, balance=balance, callbacks=callbacks, nbs=64)
    assert accumulate == {"class": 6, "attach": 6}
    assert torch.equal(weights(tmp_path / "class"), weights(tmp_path / "attach"))


def test_both_ways_in_give_the_same_run(balanced):
    folder, _ = balanced
    assert rows(folder / "class", "exposure.csv") == rows(folder / "attach", "exposure.csv")
    assert rows(folder / "class", "recall.csv") == rows(folder / "attach", "recall.csv")
    assert curves(folder / "class") == curves(folder / "attach")
    assert torch.equal(weights(folder / "class"), weights(folder / "attach"))


def test_terms_reach_both_criteria_and_both_heads(balanced):
    for trainer in balanced[1].values():
        for model in (trainer.model, trainer.ema.ema):
            for head in (model.criterion.one2many, model.criterion.one2one):
                assert isinstance(head.bce, WeightedBCE)
                assert len(head.bce.terms) == 3
        assert trainer.model.criterion.updates == 3  # Ultralytics' gain schedule goes on


def test_a_run_leaves_its_records(balanced):
    folder = balanced[0] / "class"
    exposure = rows(folder, "exposure.csv")
    assert list(exposure[0]) == ["epoch", "class", "natural", "requested", "drawn", "reached", "boxes", "pasted"]
    assert [r["epoch"] for r in exposure] == [e for e in "123" for _ in range(3)]
    assert [r["class"] for r in exposure[:3]] == ["scratch", "pit", "crack"]
    for column in ("natural", "requested", "drawn", "reached"):
        assert sum(float(r[column]) for r in exposure[:3]) == pytest.approx(1, abs=1e-4)

    recall = rows(folder, "recall.csv")
    assert len(recall) == 3 * 2 * 3
    assert {r["recall"] for r in recall if r["class"] == "crack"} == {""}
    assert list(recall[0])[-2:] == ["ap50", "f1"]
    assert {r["ap50"] + r["f1"] for r in recall if r["class"] == "crack"} == {""}
    means = [sum(float(r["ap50"]) for r in recall[6 * e : 6 * e + 2]) / 2 for e in range(3)]  # scratch, pit
    assert means == pytest.approx([float(r["metrics/mAP50(B)"]) for r in rows(folder)], abs=2e-5)

    report = RecallReport.load(folder / "recall.json")
    assert report.images == 12
    assert report.clean_images == 6
    assert [b.false_alarms for b in report.budgets] == [0.5, 5.0]
    assert {name: c.n for name, c in report.budgets[0].classes.items()} == {"scratch": 5, "pit": 3, "crack": 0}

    saved = yaml.safe_load((folder / "balance.yaml").read_text())
    assert saved["balance"] == BALANCE  # as asked
    assert saved["resolved"]["options"]["losses"]["isr"] == {"k": 1.0, "bias": 0.0, "negatives": None}
    assert saved["resolved"]["classes"]["crack"]["boxes"] == 1
    assert saved["resolved"]["classes"]["crack"]["factor"] == 4.0


def test_recall_reaches_results_csv_and_so_every_logger(balanced):
    row = rows(balanced[0] / "class")[0]
    assert {k for k in row if k.startswith("recall/")} == {
        f"recall/{name}_{figure}" for name in ("scratch", "pit") for figure in ("fa0.5", "fa5", "ap50", "f1")
    }  # no column for the class without objects


def test_best_pt_predicts_where_the_package_cannot_be_imported(balanced, tmp_path):
    script = f"""
import sys
sys.modules["yolo_balance"] = None  # any import of it fails from here on
import numpy as np
from ultralytics import YOLO
for file in ("best.pt", "last.pt"):
    model = YOLO({str(balanced[0] / "class" / "weights")!r} + "/" + file)
    print(len(model.predict(np.zeros((32, 32, 3), np.uint8), imgsz=32, verbose=False, save=False)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split()[-2:] == ["1", "1"], done.stderr


def test_validation_agrees_with_ultralytics_own_figures(balanced):
    """Ultralytics' recall is read at another confidence; at the lowest one both have found the same objects."""
    validator = balanced[1]["class"].validator
    final = validator.recall_report
    stats = validator.metrics
    stock = {stats.names[c]: stats.nt_per_class[c] for c in stats.ap_class_index}
    assert {name: c.n for name, c in final.budgets[0].classes.items() if c.n} == stock


def test_configured_classes_survive_cloudpickle(tmp_path):
    cls = BalancedDetectionTrainer.configured(BALANCE)
    (tmp_path / "class.pkl").write_bytes(cloudpickle.dumps(cls))
    script = f"""
import pickle
cls = pickle.load(open({str(tmp_path / "class.pkl")!r}, "rb"))
from yolo_balance import BalancedDetectionTrainer
assert issubclass(cls, BalancedDetectionTrainer) and cls is not BalancedDetectionTrainer
print(cls.asked.losses.carl.gain, BalancedDetectionTrainer.asked.off())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["0.1", "True"], done.stderr


@pytest.mark.parametrize("way", ["class", "attach"])
def test_a_run_survives_an_out_of_memory_rebuild(tiny_data, tmp_path, way):
    seen = {}

    def fail_once(trainer):
        forward = trainer.model.forward

        def run_out(*args, **kwargs):
            trainer.model.forward = forward
            raise RuntimeError("CUDA out of memory (simulated)")

        trainer.model.forward = run_out
        seen["loader"] = trainer.train_loader

    callbacks = {"on_train_start": fail_once, "on_train_end": lambda t: seen.update(trainer=t)}
    run(tiny_data, tmp_path, way, way=way, balance=BALANCE, callbacks=callbacks, epochs=2)
    trainer = seen["trainer"]
    assert trainer.batch_size == 4
    assert trainer.train_loader is not seen["loader"]
    assert isinstance(trainer.train_loader.batch_sampler, EpochBatches)
    assert isinstance(trainer.train_loader.dataset, CountingMixin)
    exposure = rows(tmp_path / way, "exposure.csv")
    assert len(exposure) == 6
    requested, drawn = (np.array([float(r[c]) for r in exposure]) for c in ("requested", "drawn"))
    np.testing.assert_allclose(drawn, requested, atol=0.15)  # 24 images per epoch are coarse
    assert (tmp_path / way / "recall.json").exists()


@pytest.mark.parametrize("way", ["class", "attach"])
def test_a_run_resumes(tiny_data, tmp_path, caplog, way):
    def cut(trainer):
        if trainer.epoch == 1:
            raise Interrupted

    options = {"way": way, "balance": BALANCE, "epochs": 4}
    with pytest.raises(Interrupted):
        run(tiny_data, tmp_path, way, callbacks={"on_train_epoch_start": cut}, model="yolo26n.yaml", **options)
    folder = tmp_path / way
    (folder / "exposure.csv").open("a").write("2,scratch,0,0,0,0,0\n")  # an epoch whose checkpoint was never written

    seen = {}
    callbacks = {"on_train_end": lambda t: seen.update(trainer=t)}
    last = str(folder / "weights" / "last.pt")
    run(tiny_data, tmp_path, way, callbacks=callbacks, model=last, resume=True, **options)
    assert [r["epoch"] for r in rows(folder, "exposure.csv")] == [e for e in "1234" for _ in range(3)]
    assert sorted({r["epoch"] for r in rows(folder, "recall.csv")}) == ["1", "2", "3", "4"]
    trainer = seen["trainer"]
    assert "Exposure: shares of boxes over epochs 2 to 4" in caplog.text  # counted since the run was resumed
    assert trainer.model.criterion.updates == 4
    assert isinstance(trainer.model.criterion.one2one.bce, WeightedBCE)
    assert isinstance(trainer.ema.ema.criterion.one2one.bce, WeightedBCE)
    assert trainer.train_loader.batch_sampler.serving == 4
    assert (folder / "recall.json").exists()


def test_attach_balances_a_users_own_trainer(tiny_data, tmp_path):
    seen = {}
    callbacks = {"on_train_end": lambda t: seen.update(trainer=t)}
    yolo = attach(YOLO("yolo11n.yaml"), BALANCE)
    for event, callback in callbacks.items():
        yolo.add_callback(event, callback)
    yolo.train(trainer=OwnTrainer, **arguments(tiny_data, tmp_path, "own", epochs=1))
    assert isinstance(seen["trainer"], OwnTrainer)
    assert isinstance(seen["trainer"], BalancedTrainerMixin)
    assert not issubclass(OwnTrainer, BalancedTrainerMixin)


def test_attach_holds_in_a_copy_whose_callbacks_are_reset_and_the_last_one_counts(tiny_data, tmp_path):
    """Ray Tune trains such copies."""
    model = cloudpickle.loads(cloudpickle.dumps(attach(attach(YOLO("yolo11n.yaml"), {}), BALANCE)))
    model.reset_callbacks()
    for name in ("first", "second"):
        model.train(**arguments(tiny_data, tmp_path, name, epochs=1))
        assert model.trainer.asked == BalanceConfig.load(BALANCE)
        assert rows(tmp_path / name, "exposure.csv")


def test_attach_refuses_what_it_cannot_balance(tiny_data, tmp_path):
    with pytest.raises(HostError, match="expected a model of task detect, segment, pose, obb, classify, got semantic"):
        attach(YOLO("yolo26n-sem.yaml"), {})
    with pytest.raises(ConfigError, match=r"balance\.losses\.focl: unknown key"):
        attach(YOLO("yolo11n.yaml"), {"losses": {"focl": {}}})
    attached = attach(YOLO("yolo11n.yaml"), {})
    with pytest.raises(HostError, match="use either attach or trainer="):
        attached.train(trainer=BalancedDetectionTrainer, **arguments(tiny_data, tmp_path, "both"))
    with pytest.raises(ConfigError, match=r"balance\.recall\.targets\.dent: the data has no class dent"):
        run(tiny_data, tmp_path, "names", way="attach", balance={"recall": {"targets": {"dent": 0.9}}})


@pytest.mark.parametrize("options", [{}, {"use_ray": True}])
def test_tuning_an_attached_model_is_refused_before_the_first_trial(tiny_data, tmp_path, options):
    model = attach(attach(YOLO("yolo11n.yaml"), {"auto": True}), {"auto": True})
    with pytest.raises(HostError, match=r"^attach: model.tune\(\) does not hand attach on to its trials.*$"):
        model.tune(iterations=1, space={"lr0": (1e-4, 1e-3)}, **options, **arguments(tiny_data, tmp_path, "trial"))
    assert not list(tmp_path.iterdir())
    assert type(model).__name__ == "YOLO"
    assert isinstance(model, YOLO)
