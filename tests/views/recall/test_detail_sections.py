"""The sections of `recall.html` on images, errors and sizes say what the report says, and are left out where it does
not."""

import dataclasses
import re

import numpy as np
import pytest
from helpers.matrices import sampled
from helpers.pages import HOSTILE, opens_anywhere
from helpers.random_splits import random_split
from helpers.splits import NAMES, pool, split

from yolo_balance import RecallReport
from yolo_balance.config.recall import CostsConfig
from yolo_balance.recall import ImageOutcome, Outcomes
from yolo_balance.recall.diagnosis.error_types import CAUSES, TYPES
from yolo_balance.recall.split_reading import Reading
from yolo_balance.views.recall import detail_sections
from yolo_balance.views.recall.recall_page import rarest_first, render

COSTS = CostsConfig(escape=50.0, overkill=1.0, defect_rate=0.25)
SECTIONS = {"line": "What the line decides", "errors": "Why objects are missed", "sizes": "Does size decide"}


def detailed(outcomes, names, costs=COSTS, **options):
    options = {"false_alarms": [0.1, 1.0]} | options
    return RecallReport.of(outcomes, names, **options).with_details(outcomes, costs)


def page_of(report, outcomes):
    return opens_anywhere(render(Reading(report, outcomes)))


def rows_of(text, heading):
    """Cells, as text, of the first table after a heading."""
    table = text[text.index(heading) :].split("<table", 1)[1].split("</table>", 1)[0]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in table.split("<tr")[2:]]
    return [[" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in row] for row in cells]


def with_sizes(seed, classes=2, clean=20):
    """Objects of 5 to 200 px, the larger the likelier found."""
    rng = np.random.default_rng(seed)
    images = [ImageOutcome.of([], [], [0], [0.2 + 0.02 * (i % 5)]) for i in range(clean)]
    for _ in range(100 * classes):
        side, c = float(rng.uniform(5, 200)), int(rng.integers(classes))
        score = 0.9 if rng.random() < side / 150 else 0.05
        images.append(ImageOutcome.of([[0.9]], [c], [c], [score], object_box=[[0, 0, side, side]]))
    return Outcomes.pool(images, classes)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "no clean image"])
@pytest.mark.parametrize("budgets", [[0.5], [0.1, 1.0]], ids=["one budget", "two"])
@pytest.mark.parametrize("classes", sampled([1, 2, len(HOSTILE), 40], [1, len(HOSTILE)]))
def test_any_names_and_counts_make_a_page_whose_contents_lead_somewhere(classes, budgets, clean):
    names = [*HOSTILE, *(f"class {i}" for i in range(40))][:classes]
    outcomes = random_split(3, clean=clean, images=150, classes=max(classes, 2))
    if classes == 1:
        outcomes = with_sizes(1, classes=1, clean=20 * clean)
    report = detailed(outcomes, names, false_alarms=budgets, targets=dict.fromkeys(names, 0.5))
    text = render(Reading(report, outcomes))
    page = opens_anywhere(text)
    for forbidden in ("<script", "<b>", "\x00", "\x1b", "\u202e"):
        assert forbidden not in text
    links = [attributes["href"][1:] for tag, attributes in page.elements if tag == "a"]
    assert links == [attributes["id"] for tag, attributes in page.elements if tag == "h2"]
    assert set(SECTIONS) <= set(links)
    assert text.count("<table") == text.count('<div class="scroll"><table'), "none scrolls the page"
    assert page.has("nothing is left to review") == (len(budgets) == 1)
    assert page.has("nothing is known of overkill") == (not clean)
    assert page.has("The cheapest threshold") == clean
    assert text == render(Reading(report, outcomes)), "the same data give the same page"


@pytest.mark.parametrize("outcomes", [Outcomes.pool([], 2), Outcomes.pool([ImageOutcome.of([], [], [], [])], 2)])
def test_of_nothing_there_is_no_data(outcomes):
    text = render(Reading(detailed(outcomes, ["a", "b"]), outcomes))
    opens_anywhere(text)
    assert rows_of(text, "Three zones")[1] == ["defective", "no data", "no data", "no data", ""]
    assert rows_of(text, ">Objects not found")[0][:3] == ["b", "0", "no data"]
    assert rows_of(text, "Does size decide what is found?</h2>")[0] == ["all", "no data", "no data", "no data"]
    assert rows_of(text, "Probability of detection")[0] == ["b", "0", "", "", "none", "none", "no data"]


@pytest.mark.parametrize("seed", range(3))
def test_the_tables_say_what_the_report_says(seed):
    outcomes = pool(split(seed, 60))
    report = detailed(outcomes, NAMES, false_alarms=[1.0, 1.5], targets={"a": 0.3})
    assert report.budgets[0].images.escape.without_hit > report.budgets[0].images.escape.by_luck
    text = render(Reading(report, outcomes))
    budget, details = report.budgets[0], report.details

    def share(count, n, rate, low, high):
        return f"{count} of {n} {rate:.2f} [{low:.2f}, {high:.2f}]" if n else "no data"

    def escape(e):
        told = [str(e.without_hit), str(e.by_luck)] if e.n else ["", ""]
        return [share(e.passed, e.n, e.rate, e.low, e.high), e.verdict or "no data", *told]

    def overkill(o):
        return [share(o.rejected, o.n, o.rate, o.low, o.high), o.verdict or "no data"]

    found = rows_of(text, "What the line decides</h2>")
    assert found[0] == ["all", *escape(budget.images.escape), *overkill(budget.images.overkill)]
    assert {row[0]: row[1:] for row in found[1:]} == {
        name: [*escape(row.escape), *overkill(row.overkill)] for name, row in budget.images.classes.items()
    }

    def zones(z):
        return [share(part.count, z.n, part.share, part.low, part.high) for part in (z.passed, z.reviewed, z.rejected)]

    shown = {row[0]: row[1:4] for row in rows_of(text, "Three zones")}
    expected = {"clean": zones(details.zones.clean), "defective": zones(details.zones.defective)}
    assert shown == expected | {f"with {name}": zones(row) for name, row in details.zones.classes.items()}

    missed = {row[0]: row[1:] for row in rows_of(text, ">Objects not found")}
    false = {row[0]: row[1:] for row in rows_of(text, ">False boxes<")}
    for name, row in details.errors.classes.items():
        assert missed[name][0] == str(row.objects.n)
        if row.objects.n:
            counts = [cell.split(" median")[0] for cell in missed[name][1:6]]
            assert counts == [str(row.objects.not_found), *(str(getattr(row.objects, cause)) for cause in CAUSES)]
        assert false[name][:2] == [str(row.boxes.n), str(row.boxes.on_clean)]
        assert false[name][2:7] == [str(getattr(row.boxes, kind)) for kind in TYPES]
        assert "".join(false[name][7:]) == ", ".join(f"{c} {n}" for c, n in row.boxes.confused_with.items())

    by_size = {row[0]: row[1:] for row in rows_of(text, "Does size decide what is found?</h2>")}
    for name, bins in {**details.sizes.classes, "all": details.sizes.overall}.items():
        told = [
            "no data" if b.recall is None else f"{b.recall:.2f} [{b.low:.2f}, {b.high:.2f}] {b.hits} of {b.n}"
            for b in bins.values()
        ]
        assert by_size[name] == told


@pytest.mark.parametrize("seed", range(3))
def test_each_class_is_shown_with_its_own_confidence_and_precision(seed):
    outcomes = pool(split(seed, 60))
    report = RecallReport.of(outcomes, NAMES, false_alarms=[0.5], targets={"a": 0.3})
    text = render(Reading(report, outcomes))
    budget = report.budgets[0]
    for name, threshold, verdict, hits, recall, precision, common in rows_of(text, ">With a confidence for each class"):
        row = budget.per_class.classes[name]
        assert threshold == f"{row.threshold:.3f}"
        assert verdict == ("no data" if not row.n else f"target {row.verdict}" if name == "a" else "no target") or (
            verdict == row.verdict == "cannot conclude"
        )
        if row.n:
            assert hits == f"{row.hits} of {row.n}"
            assert recall == "{:.2f} [{:.2f}, {:.2f}]".format(row.recall, *row.bounds)
            assert common == f"{budget.classes[name].recall:.2f}"
            assert 'title="Clopper-Pearson: {:.2f} to {:.2f}"'.format(*row.exact) in text
        assert precision.startswith("" if row.precision is None else f"{row.precision:.2f} {row.false_boxes} false box")


def test_what_sharing_does_for_the_worst_class_is_told():
    """Boxes of `loud` raise all the false alarms, so that `shy` needs a confidence below theirs."""
    images = [ImageOutcome.of([[0.9]], [0], [0], [0.95]) for _ in range(10)]
    images += [ImageOutcome.of([[0.9]], [1], [1], [0.3]) for _ in range(10)]
    outcomes = Outcomes.pool([*images, *(ImageOutcome.of([], [], [0], [0.6]) for _ in range(10))], 2)
    page = page_of(RecallReport.of(outcomes, ["loud", "shy"], false_alarms=[0.1]), outcomes)
    assert page.has("0.1 false boxes per clean image give a worst recall of 1.00 (loud) instead of 0.00 (shy).")
    page = page_of(RecallReport.of(outcomes, ["loud", "shy"], false_alarms=[1.0]), outcomes)
    assert page.has("Confidences of their own give no higher recall of the worst class.")


def test_an_older_report_has_fewer_sections():
    outcomes = pool(split(1, 60))
    report = RecallReport.of(outcomes, NAMES, false_alarms=[0.5])
    page = page_of(report, outcomes)
    assert page.has(SECTIONS["line"]), "rates of images are part of every report of ours"
    for absent in ("Three zones", "The cheapest threshold", SECTIONS["errors"], SECTIONS["sizes"]):
        assert not page.has(absent)
    old = dataclasses.replace(
        report, budgets=tuple(dataclasses.replace(b, per_class=None, images=None) for b in report.budgets)
    )
    page = page_of(old, outcomes)
    for absent in (*SECTIONS.values(), "With a confidence for each class"):
        assert not page.has(absent)


def test_costs_are_in_words_and_as_a_curve():
    outcomes = with_sizes(2)
    report = detailed(outcomes, ["a", "b"])
    page = page_of(report, outcomes)
    cheapest = report.details.cheapest
    assert page.has(
        f"At a threshold of {cheapest.threshold:.3f}, one for all classes, an image costs {cheapest.cost:.3g}"
    )
    assert page.has(f"cost {cheapest.pass_all:.3g}, rejecting every one {cheapest.reject_all:.3g}.")
    assert page.has("cost per image")
    assert page.has("with 25.0% of the images defective")
    assert not page_of(detailed(outcomes, ["a", "b"], None), outcomes).has("The cheapest threshold")


def test_classes_have_a_curve_of_detection_or_a_reason():
    outcomes = with_sizes(0)
    few = Outcomes.pool([ImageOutcome.of([[0.9]], [2], [2], [0.9], object_box=[[0, 0, 9, 9]])], 3)
    assert few.images == 1
    report = detailed(outcomes, ["a", "b"])
    text = render(Reading(report, outcomes))
    fits = report.details.detection
    assert all(fit.b0 is not None for fit in fits.values())
    for name, n, hits, tried, a90, a9095, why in rows_of(text, "Probability of detection (POD)"):
        fit = fits[name]
        assert [n, hits, tried] == [str(fit.n), str(fit.hits), f"{fit.smallest:.3g} to {fit.largest:.3g} px"]
        assert a90 == ("none" if fit.a90 is None else f"{fit.a90:.3g} px")
        assert a9095 == ("none" if fit.a9095 is None else f"{fit.a9095:.3g} px")
        assert why == (fit.reason or "")
    assert text.count("size in pixels</text>") == 2
    text = render(Reading(detailed(few, ["a", "b", "c"]), few))
    assert rows_of(text, "Probability of detection (POD)")[0][-1] == "1 object, and hit or miss data need at least 60"
    assert "size in pixels</text>" not in text


def test_at_most_24_classes_have_a_curve_of_detection():
    names = [f"class {c}" for c in range(26)]
    outcomes = with_sizes(0, classes=26)
    report = detailed(outcomes, names)
    assert sum(fit.b0 is not None for fit in report.details.detection.values()) == 26
    text = render(Reading(report, outcomes))
    assert text.count("size in pixels</text>") == 24
    assert len(rows_of(text, "Probability of detection (POD)")) == 26


def test_rows_are_all_images_first_then_the_classes_rarest_first():
    outcomes = pool(split(0, 40))
    report = detailed(outcomes, NAMES)
    text = render(Reading(report, outcomes))
    order = rarest_first(report.budgets[0], {})
    assert [row[0] for row in rows_of(text, "What the line decides</h2>")] == ["all", *order]
    zoned = rows_of(text, "Three zones")
    assert [row[0] for row in zoned] == ["clean", "defective", *(f"with {name}" for name in order)]
    lower, higher = report.details.zones.pass_below, report.details.zones.reject_from
    assert lower != higher
    for name, row in zip(order, zoned[2:], strict=True):
        low, high = f"{lower[name]:.3f}", f"{higher[name]:.3f}"
        assert row[-1] == (low if lower[name] == higher[name] else f"{low} to {high}")
    assert [row[0] for row in rows_of(text, "Does size decide what is found?</h2>")] == ["all", *order]
    for heading in (">Objects not found", ">False boxes<"):
        assert [row[0] for row in rows_of(text, heading)] == order


def test_the_limits_are_those_of_the_attribute_study():
    expected = {"escape": 0.02, "defective": 189, "overkill": 0.05, "clean": 73, "touching": 0.1}
    assert detail_sections.context(detailed(with_sizes(0), ["a", "b"]), [])["limits"] == expected


def test_sizes_have_the_headings_of_coco():
    outcomes = with_sizes(0)
    text = render(Reading(detailed(outcomes, ["a", "b"]), outcomes))
    for heading in ("small: below 32 px", "medium: 32 to 96 px", "large: from 96 px"):
        assert f"<th>{heading}</th>" in text


def test_what_stands_between_backticks_is_code_and_the_rest_is_text():
    assert (
        detail_sections.code("Set `a.b` < `c&d`, or <i>.")
        == "Set <code>a.b</code> &lt; <code>c&amp;d</code>, or &lt;i&gt;."
    )


def test_every_cause_and_type_has_a_meaning_and_knobs_are_told_of_those_that_occur():
    assert tuple(detail_sections.CAUSE_MEANINGS) == CAUSES
    assert tuple(detail_sections.TYPE_MEANINGS) == TYPES
    image = ImageOutcome.of([[0.8], [0.0]], [0, 1], [1], [0.9])
    outcomes = Outcomes.pool([image], 2)
    report = detailed(outcomes, ["a", "b"], false_alarms=[1.0])
    assert [kind for kind, _ in detail_sections.context(report, [])["knobs"]] == ["confused", "missed"]
    page = page_of(report, outcomes)
    assert page.has("confused: Review the labels of the two classes; balance.losses.class_weights moves")
    assert not page.has("duplicate: A lower iou")
