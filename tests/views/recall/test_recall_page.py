"""Laws of `recall.html`: it says what the report says, opens anywhere, and takes any names, files and counts."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from helpers.matrices import sampled
from helpers.pages import HOSTILE, opens_anywhere
from helpers.random_splits import random_split

from yolo_balance import RecallReport
from yolo_balance.recall import ImageOutcome, Outcomes
from yolo_balance.recall.split_reading import Reading
from yolo_balance.run_folder.history import ClassExposure, EpochRecall, Shares
from yolo_balance.views.recall.recall_page import rarest_first, render


def report_of(outcomes, names, **options):
    return RecallReport.of(outcomes, names, **({"false_alarms": [0.1, 1.0]} | options))


def history_of(reports):
    return [
        EpochRecall(epoch, name, b.false_alarms, c.n, c.hits, c.recall, c.bounds, c.threshold, b.measured)
        for epoch, report in enumerate(reports, start=1)
        for b in report.budgets
        for name, c in b.classes.items()
    ]


def shown_to(names):
    shares = Shares(0.01, 0.25, 0.26, 0.2)
    return {name: ClassExposure(shares, shares) for name in names}


def everything(split, names):
    """All that a page can show of a run."""
    report = report_of(split, names, targets=dict.fromkeys(names, 0.5))
    return render(
        Reading(report, split, baseline=report, title="runs/<i>a</i>"),
        history=history_of([report] * 3),
        exposure=shown_to(names),
        weights={name: {"boxes": 3 + i, "factor": 2.0, "product": 3.5} for i, name in enumerate(names)},
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "no clean image"])
@pytest.mark.parametrize("classes", sampled([1, 2, 3, len(HOSTILE), 40], [1, len(HOSTILE)]))
def test_any_names_and_counts_make_a_page_that_opens_anywhere(classes, clean):
    names = [*HOSTILE, *(f"class {i}" for i in range(40))][:classes]
    split = random_split(1, clean=clean, images=200, classes=max(classes, 2))
    if classes == 1:
        defect, plain = ImageOutcome.of([[0.9]], [0], [0], [0.9]), ImageOutcome.of([], [], [0], [0.4])
        split = Outcomes.pool([defect, *[plain] * (3 if clean else 0)], 1)
    text = everything(split, names)
    page = opens_anywhere(text)
    for forbidden in ("<script", "<b>", "<i>", "\x00", "\x1b", "\u202e"):
        assert forbidden not in text
    assert page.has("alert(1)")
    assert page.has("Recall per class of runs/<i>a</i>")
    assert text == everything(split, names), "the same data give the same page"
    if classes > 3:
        assert page.has("two\\nlines\\t\\x00\\x1b[31m")
        assert page.has("\\u202egnp.exe")
        assert page.has("{{ 7 * 7 }}")
        assert page.has("&amp; <b>")
    panels = sum(attributes.get("class") == "figure-of-class" for _, attributes in page.elements)
    assert panels == 2 * min(classes if classes == 1 else classes - 1, 24)
    assert page.has("The plots show the 24 rarest of 39 classes with objects") == (classes == 40)


@pytest.mark.parametrize("split", [Outcomes.pool([], 2), Outcomes.pool([ImageOutcome.of([], [], [], [])], 2)])
def test_of_nothing_a_page_says_so(split):
    page = opens_anywhere(render(Reading(report_of(split, ["a", "b"], targets={"a": 0.9}), split)))
    assert page.has("No data: 2 classes.")
    assert page.has("Missed defects None at")
    assert page.has("False alarms None at")


def example():
    """Forty of `shown` found, forty of `lost` not, four of `few` found, none of `absent` there; two clean images."""
    hit, miss = ([[1]], [0.9]), (np.zeros((1, 0)), [])
    plates = [
        ImageOutcome.of(iou, [c], [c] * len(confidence), confidence, file=f"/data/plate {c}.png")
        for c, (iou, confidence), n in ((0, hit, 40), (1, miss, 40), (2, hit, 4))
        for _ in range(n)
    ]
    clean = [ImageOutcome.of([], [], [1], [score], file=f"clean {score}.png") for score in (0.8, 0.3)]
    return Outcomes.pool([*plates, *clean], 4)


NAMES = ["shown", "lost", "few", "absent"]


def test_the_page_says_what_the_report_says():
    targets = {"shown": 0.9, "lost": 0.9, "few": 0.9}
    report = report_of(example(), NAMES, false_alarms=[0.5, 1.0], targets=targets, confidence=0.9)
    page = opens_anywhere(render(Reading(report, example())))
    assert page.has("Split val · 86 images, 2 of them clean · found means IoU 0.5 or more · 90 % intervals")
    assert page.has("Target met: 1 class, target missed: 1 class, cannot conclude: 1 class, no data: 1 class.")
    assert page.has("At 0.5 false boxes per clean image Threshold 0.300; measured there: 0.5 false boxes per")
    assert page.has("At 1 false box per clean image")
    verdicts, _ = " ".join(page.text.split()).split("What the line decides An image is")
    rows = re.findall(r"(few|lost|shown|absent) (target \w+|cannot conclude|no data)", verdicts)
    expected = [("few", "cannot conclude"), ("lost", "target missed"), ("shown", "target met"), ("absent", "no data")]
    assert rows == expected * 2
    few = report.budgets[0].classes["few"]
    assert page.has(f"1.00 [{few.low:.2f}, 1.00]")
    assert page.has("Objects not found at 0.5 false boxes per clean image: 4 of 40,")
    assert page.has("Boxes that found nothing at 0.5 false boxes per clean image: 1 of 1,")
    assert page.has("lost no box of its class touches it plate 1.png")
    assert page.has("lost confidence 0.80, clean image clean 0.8.png")
    assert not page.has("What changed")
    assert not page.has("over the epochs")


def test_without_targets_or_clean_images_the_page_says_so():
    split = random_split(0, clean=False)
    page = opens_anywhere(render(Reading(report_of(split, list("abc")), split)))
    assert page.has("No recall is promised")
    assert page.has("1 class is without objects here: nothing is known of it.")
    assert page.has(f"{split.images} images, none of them clean")
    assert page.has("This split has no clean image")
    assert not page.has("clean images first")


def test_changes_and_exposure_are_shown_where_they_are_known():
    good = example()
    empty = Outcomes.pool([ImageOutcome.of(np.zeros((1, 0)), [c], [], []) for c in good.object_class], 4)
    report, before = report_of(good, NAMES), report_of(empty, NAMES)
    page = opens_anywhere(
        render(
            Reading(report, good, baseline=report),
            history=history_of([report, before, report]),
            exposure=shown_to(["shown"]),
            weights={"shown": {"factor": 1.25}, "lost": {}},
        )
    )
    assert page.has("In the last epoch, 3, against the one before At 0.1 false boxes per clean image")
    assert page.has("rose: few +1.00, shown +1.00; fell: none; cannot conclude: lost; no data: absent.")
    assert page.has("Against the baseline At 0.1 false boxes per clean image rose: none; fell: none;")
    assert page.has("20.0% 1.0% in the data 1.25")
    assert page.has("What training was shown")
    assert not page.has("under other conditions")


def test_a_baseline_read_otherwise_is_told_of():
    split = example()
    report = report_of(split, NAMES)
    other = report_of(split, NAMES, split="test <b>", false_alarms=[0.2])
    page = opens_anywhere(render(Reading(report, split, baseline=other)))
    assert page.has("The baseline was read under other conditions (split test <b>,")
    assert page.has("The baseline was not read at any of these budgets.")


def test_rare_is_what_train_has_least_of_or_else_the_split():
    budget = report_of(example(), NAMES).budgets[0]
    assert rarest_first(budget, {}) == ["few", "lost", "shown", "absent"]
    boxes = {"shown": 1, "lost": 3, "few": 2, "absent": 0}
    assert rarest_first(budget, {name: {"boxes": n} for name, n in boxes.items()}) == ["shown", "few", "lost", "absent"]
    assert rarest_first(budget, {"shown": {"boxes": 1}}) == ["few", "lost", "shown", "absent"]


def test_pictures_are_part_of_the_page_and_the_page_stays_small(tmp_path):
    rng = np.random.default_rng(0)
    parts = []
    for i in range(60):
        path = tmp_path / f"{HOSTILE[2].replace('/', '')} {i}.png"
        cv2.imwrite(str(path), rng.integers(0, 256, (300, 300, 3)).astype(np.uint8))
        objects = [] if i % 2 else [i % 12]
        corners = np.sort(rng.uniform(0, 300, (1, 2, 2)), axis=1).reshape(1, 4)
        parts.append(
            ImageOutcome.of(
                np.zeros((len(objects), 1)),
                objects,
                [i // 2 % 12],
                [0.9],
                object_box=corners[: len(objects)],
                box=corners,
                file=str(path),
            )
        )
    split, names = Outcomes.pool(parts, 12), [f"class {c}" for c in range(12)]
    text = render(Reading(report_of(split, names, false_alarms=[9.0]), split))
    page = opens_anywhere(text)
    pictures = [tag for tag, attributes in page.elements if attributes.get("href", "").startswith("data:image/jpeg")]
    assert pictures == ["image"] * 48
    assert len(text) < 3e6, "noise is the most that JPEG takes"
    assert not page.has("cannot be read")
    assert page.has(HOSTILE[2])


def test_what_the_prime_samples_show_does_not_grow_with_their_number():
    def size(boxes):
        rng = np.random.default_rng(0)
        split = Outcomes.pool(
            [ImageOutcome.of(rng.random((1, boxes)) * 0.4, [0], [0] * boxes, rng.uniform(0.3, 1, boxes))], 1
        )
        return len(render(Reading(report_of(split, ["a"]), split)))

    assert size(20_000) < size(200) + 100_000
