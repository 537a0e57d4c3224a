"""What the image tables print."""

from helpers.outcomes import pooled

from yolo_balance.recall import RecallReport
from yolo_balance.recall.images import ImageRates, zones
from yolo_balance.views.recall.images_console import render_rates, render_zones
from yolo_balance.views.recall.report_console import render_report


def outcomes():
    """Three defective images: one found, one rejected by a box elsewhere, one passed; two clean, one rejected."""
    return pooled(
        hit=[[1], [0], [0], [0], []],
        confidence=[[0.9], [0.6], [0.2], [0.5], []],
        predicted=[[0], [1], [0], [1], []],
        objects=[[0], [0], [1], [], []],
        num_classes=3,
    )


def test_the_rates():
    rates = ImageRates.of(outcomes(), [0.5, 0.4, 0.5], ["a", "b [x]", "c"])
    assert render_rates(rates, "0.1 false boxes per clean image").splitlines() == [
        "Images at 0.1 false boxes per clean image (95% Wilson interval; 2 defect-free of 5 images)",
        "                     images   escape                    at most           rejected for a wrong reason   overkill"
        "                  at most",
        "class         conf        n   passed                    2%                (of these, box on nothing)    rejected"
        "                  5%",
        "a            0.500        2      0  0.00 [0.00, 0.66]   cannot conclude     1 (1)                          0  0.00"
        " [0.00, 0.66]   cannot conclude",
        "b [x]        0.400        1      1  1.00 [0.21, 1.00]   missed              0 (0)                          1  0.50"
        " [0.09, 0.91]   missed",
        "c            0.500        0      -  no data                                                                0  0.00"
        " [0.00, 0.66]   cannot conclude",
        "all images                3      1  0.33 [0.06, 0.79]   missed              1 (1)                          1  0.50"
        " [0.09, 0.91]   missed",
        "Limits 2% and 5% are those of AIAG MSA (4th edition). To show them you need at least 189 defective and 73 clean "
        "images.",
        "Escape: a defective image that passes. Overkill: a clean image that is rejected.",
        "Wrong reason: no counted box found an object. Box on nothing: no counted box overlaps an object by 0.1 or more.",
    ]


def test_the_zones():
    read = zones(outcomes(), 0.3, [0.7, 0.55, 0.7], ["a", "b [x]", "c"])
    assert render_zones(read).splitlines() == [
        "Images over three zones (95% Wilson interval)",
        "images       n   pass                      review                    reject                    conf",
        "clean        2      1  0.50 [0.09, 0.91]      1  0.50 [0.09, 0.91]      0  0.00 [0.00, 0.66]",
        "defective    3      1  0.33 [0.06, 0.79]      0  0.00 [0.00, 0.56]      2  0.67 [0.21, 0.94]",
        "with a       2      0  0.00 [0.00, 0.66]      0  0.00 [0.00, 0.66]      2  1.00 [0.34, 1.00]   0.300 to 0.700",
        "with b [x]   1      1  1.00 [0.21, 1.00]      0  0.00 [0.00, 0.79]      0  0.00 [0.00, 0.79]   0.300 to 0.550",
        "with c       0      -  no data                -  no data                -  no data             0.300 to 0.700",
    ]


def test_a_class_is_one_line_of_every_table_whatever_its_name_holds():
    plainly, oddly = ["a", "b", "c"], ["a\nb", "\x1b[31mb", "c\rd"]

    def tables(names):
        report = RecallReport.of(outcomes(), names, false_alarms=[1.0])
        rates, of_zones = ImageRates.of(outcomes(), 0.4, names), zones(outcomes(), 0.3, 0.7, names)
        return [render_report(report), render_rates(rates, "1"), render_zones(of_zones)]

    for usual, odd in zip(tables(plainly), tables(oddly), strict=True):
        assert len(odd.splitlines()) == len(usual.splitlines())
        assert odd.replace("\n", "").isprintable()
        assert "a\\nb" in odd
