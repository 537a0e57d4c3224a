"""Laws of the prime samples, their picture, and their agreement with Ultralytics' own validation."""

from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from helpers.validations import MODELS, OWN, loud, options, task_data
from matplotlib.figure import Figure
from ultralytics import YOLO

from yolo_balance import BalancedDetectionTrainer, attach
from yolo_balance.errors import HostError
from yolo_balance.integration.finished.validate_once import prime_samples
from yolo_balance.recall import ImageOutcome, Outcomes, PrimeSamples
from yolo_balance.views.recall import prime_sample_plots

ARRAYS = ("iou", "score", "label", "box_score", "box_iou")


def equal(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ARRAYS)


def of(images):
    return PrimeSamples.of(Outcomes.pool([ImageOutcome.of(*image) for image in images], 3))


def images(seed, n=40, classes=3):
    """Random images with coarse IoU and scores, so that there are ties; some without objects, some without boxes."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        objects, boxes = rng.integers(0, 4), rng.integers(0, 7)
        iou = rng.integers(0, 4, (objects, boxes)) / 4
        yield iou, rng.integers(0, classes, objects), rng.integers(0, classes, boxes), rng.integers(1, 9, boxes) / 8


# -----------------------------------------------------------------------------------------------------------------
# The arrays
# -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_an_object_s_prime_sample_is_the_best_fitting_box_of_its_class_and_of_several_the_highest_scoring(seed):
    pooled = of(images(seed))
    prime, boxes = [], []
    for iou, objects, predicted, score in images(seed):
        for o, c in enumerate(objects):
            own = [(iou[o, b], score[b]) for b in range(len(score)) if predicted[b] == c and iou[o, b] > 0]
            prime.append((*max(own, default=(0, 0)), c))
        for b, c in enumerate(predicted):
            boxes.append((score[b], max((iou[o, b] for o in range(len(objects)) if objects[o] == c), default=0)))
    np.testing.assert_array_equal(np.stack([pooled.iou, pooled.score, pooled.label], 1), prime)
    np.testing.assert_array_equal(np.stack([pooled.box_score, pooled.box_iou], 1), boxes)


def test_boxes_of_another_class_change_nothing_of_an_object():
    plain = of([([[0.7]], [1], [1], [0.6])])
    beside = of([([[0.7, 0.9]], [1], [1, 0], [0.6, 0.8])])
    assert (beside.iou, beside.score) == (plain.iou, plain.score)
    assert beside.box_iou.tolist() == [np.float32(0.7), 0]  # an object of another class is none for a box


def test_the_order_of_boxes_does_not_matter():
    for iou, objects, predicted, score in images(7):
        mixed = np.random.default_rng(0).permutation(len(score))
        one = of([(iou, objects, predicted, score)])
        other = of([(iou[:, mixed], objects, predicted[mixed], score[mixed])])
        np.testing.assert_array_equal((one.iou, one.score), (other.iou, other.score))


def test_an_object_that_no_box_of_its_class_overlaps_is_at_zero():
    for iou, predicted, score in (([[]], [], []), ([[0.0]], [2], [0.9]), ([[0.8]], [1], [0.9])):
        missed = of([(iou, [2], predicted, score)])
        assert (missed.iou.tolist(), missed.score.tolist(), missed.label.tolist()) == ([0], [0], [2])


def test_a_box_in_an_image_without_objects_overlaps_none():
    clean = of([(np.zeros((0, 2)), [], [0, 1], [0.9, 0.2])])
    assert clean.label.size == 0
    assert clean.box_iou.tolist() == [0, 0]
    assert clean.misplaced() == (1.0, 1)


def test_of_no_image_there_is_nothing():
    nothing = of([])
    assert {name: getattr(nothing, name).size for name in ARRAYS} == dict.fromkeys(ARRAYS, 0)
    assert nothing.misplaced() == (None, 0)
    assert nothing.correlation() is None


@pytest.mark.parametrize(
    ("shape", "objects", "classes", "scores"),
    [((2, 3), 1, 3, 3), ((1, 3), 1, 2, 2), ((1, 2), 1, 3, 2), ((2,), 1, 2, 2)],
)
def test_shapes_that_do_not_go_together_are_refused(shape, objects, classes, scores):
    with pytest.raises(ValueError, match=r"expected IoU of shape \(objects, boxes\)"):
        of([(np.ones(shape), np.zeros(objects), np.zeros(classes), np.ones(scores))])


def test_misplaced_counts_from_the_score_on_and_below_the_iou():
    samples = of([([[0.5, 0.49, 0.1, 0.1]], [0], [0] * 4, [0.3, 0.3, 0.9, 0.29])])
    assert samples.misplaced() == (2 / 3, 3)
    assert samples.misplaced(score=0.2, iou=0.2) == (2 / 4, 4)
    assert samples.misplaced(score=0.95) == (None, 0)


def test_correlation_is_that_of_ranks():
    def correlation(iou, score):
        return of(([[i]], [0], [0], [s]) for i, s in zip(iou, score, strict=True)).correlation()

    assert correlation([0.1, 0.5, 0.9], [0.1, 0.2, 0.8]) == pytest.approx(1)
    assert correlation([0.1, 0.5, 0.9], [0.8, 0.2, 0.1]) == pytest.approx(-1)
    assert correlation([0.1, 0.9], [0.1, 0.9]) is None  # two always lie on a line
    assert correlation([0.5, 0.5, 0.5], [0.1, 0.2, 0.8]) is None
    assert correlation([0.1, 0.5, 0.9], [0.2, 0.2, 0.2]) is None


# -----------------------------------------------------------------------------------------------------------------
# The picture
# -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    save = Figure.savefig

    def note(self, *args, **kwargs):
        figures.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", note)
    return figures


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.filterwarnings("error")
def test_panels_stand_side_by_side_and_say_what_they_show(tmp_path, drawn):
    panels = {
        "stock": of(images(0)),
        "cfg/a_b $x$.yaml": of(images(1)),
        "裂": of([]),
    }
    path = tmp_path / "a $picture$ of_50 %.png"
    assert prime_sample_plots.prime_samples(path, panels, ["_crack", "$\\frac", "裂缝\n2"]) == path
    assert path.read_bytes().startswith(b"\x89PNG")
    figure = drawn[0]
    assert len({axes.get_xlim() + axes.get_ylim() for axes in figure.axes}) == 1
    for axes, (name, samples) in zip(figure.axes, panels.items(), strict=True):
        title, boxes, objects = axes.get_title(loc="left").splitlines()
        share, n = samples.misplaced()
        assert title == name
        assert boxes == f"{round((share or 0) * n)} of {n} boxes with score >= 0.3 lie below IoU 0.5"
        assert objects.startswith(f"{len(samples.iou)} objects, rank correlation of score and IoU: ")
        assert sum(len(points.get_offsets()) for points in axes.collections if points.get_clip_on() is False) == len(
            samples.iou
        )
    assert legend(figure) == ["_crack", "$\\frac", "裂缝 2", "misplaced box"]


def test_of_many_classes_the_rarest_have_colours(tmp_path, drawn):
    objects = [c for c in range(12) for _ in range(20 - c)]
    samples = of(([[0.5]], [c], [c], [0.5]) for c in objects)
    prime_sample_plots.prime_samples(tmp_path / "p.png", {"run": samples}, [f"c{i}" for i in range(13)])
    assert legend(drawn[0]) == [f"c{i}" for i in range(5, 12)] + ["5 other classes", "misplaced box"]


def test_a_picture_needs_a_panel(tmp_path):
    with pytest.raises(ValueError, match="expected at least one panel"):
        prime_sample_plots.prime_samples(tmp_path / "p.png", {}, ["a"])


def test_drawing_leaves_the_user_s_matplotlib_alone(tmp_path):
    before = dict(mpl.rcParams.copy())
    prime_sample_plots.prime_samples(tmp_path / "p.png", {"run": of(images(0))}, ["a", "b", "c"])
    assert dict(mpl.rcParams.copy()) == before
    script = f"""
import sys
from pathlib import Path
from yolo_balance.recall import Outcomes, PrimeSamples
from yolo_balance.views.recall import prime_sample_plots
prime_sample_plots.prime_samples(Path({str(tmp_path)!r}, "q.png"), {{"run": PrimeSamples.of(Outcomes.pool([], 0))}}, [])
print("matplotlib.pyplot" in sys.modules, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# -----------------------------------------------------------------------------------------------------------------
# On Ultralytics
# -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(make_data, tmp_path_factory):
    return task_data(make_data([[0]], [[0], [1], [0, 1], [], [], [0, 0]], box=0.9), tmp_path_factory)


@pytest.mark.parametrize(("name", "task"), MODELS.items())
def test_one_validation_gives_ultralytics_figures_unchanged_and_every_object_s_prime_sample(name, task, data, tmp_path):
    model, given, seen = loud(name, tmp_path), options(data[task], tmp_path, 128), {}

    def note(validator):
        seen.update({key: np.concatenate(rows) for key, rows in validator.metrics.stats.items()})

    model.add_callback("on_val_batch_end", note)
    stock = model.val(**given)
    alone = dict(seen)
    samples = prime_samples(model, **given)
    assert model.metrics.results_dict == stock.results_dict
    np.testing.assert_array_equal(model.metrics.maps, stock.maps)
    assert seen.keys() == alone.keys()
    for key, values in seen.items():
        np.testing.assert_array_equal(values, alone[key])

    np.testing.assert_array_equal(samples.box_score, seen["conf"])
    np.testing.assert_array_equal(samples.label, seen["target_cls"])
    for column, iou in enumerate(np.arange(10) / 20 + 0.5):  # what Ultralytics matches, it matches among these
        found = seen[OWN.get(task, "tp")][:, column]
        assert (samples.box_iou[found] >= iou - 1e-6).all()
        assert found.sum() <= (samples.iou >= iou - 1e-6).sum()
    assert seen["tp"][:, 0].any()
    assert samples.iou.max() <= 1
    assert ((samples.score > 0) == (samples.iou > 0)).all()


def test_only_models_that_report_boxes_have_prime_samples():
    with pytest.raises(HostError, match="expected a model of task detect, segment, pose, obb, got classify"):
        prime_samples(YOLO("yolo11n-cls.yaml"))


@pytest.mark.parametrize("way", ["class", "attach"])
def test_a_run_draws_the_prime_samples_of_its_last_validation(way, tiny_data, tmp_path):
    last = {}

    def note(trainer):
        last["outcomes"] = trainer.validator.outcomes

    def train(**more):
        yolo = YOLO("yolo26n.yaml")
        yolo.add_callback("on_fit_epoch_end", note)
        trainer = BalancedDetectionTrainer if way == "class" else None
        if way == "attach":
            attach(yolo, {})
        given = options(tiny_data, tmp_path, 32) | {"name": "run", "exist_ok": True, "verbose": False}
        yolo.train(trainer=trainer, **(given | more))

    folder = tmp_path / "run"
    train(epochs=2, plots=True)
    assert (folder / "prime_samples.png").read_bytes().startswith(b"\x89PNG")
    again = prime_samples(YOLO(folder / "weights" / "best.pt"), **options(tiny_data, tmp_path, 32))
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(again, name), getattr(PrimeSamples.of(last["outcomes"]), name), atol=1e-5)

    (folder / "feedback.png").touch()
    train(epochs=1)  # without plots nothing is drawn, and the pictures of the earlier run go
    assert not {"prime_samples.png", "feedback.png"} & {path.name for path in folder.iterdir()}
