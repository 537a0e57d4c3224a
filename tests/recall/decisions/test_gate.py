"""The gate as a pipeline runs it: its exit codes, its lines, the files it reads, and what it refuses."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from yolo_balance import RecallReport
from yolo_balance.cli import main
from yolo_balance.config.targets import read_targets
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.recall import ClassRecall, interval
from yolo_balance.recall.decisions.gate import Gate
from yolo_balance.recall.report import BudgetRecall

CONTRACT = """
{"schema": 1, "split": "val", "iou": 0.5, "images": 267, "clean_images": 189,
 "budgets": [{"false_alarms": 0.1, "threshold": 0.31,
              "classes":
              {"crack": {"n": 12, "hits": 9, "recall": 0.75, "low": 0.47, "high": 0.91, "threshold": 0.31}}}]}
"""


def row(hits, n):
    if not n:
        return ClassRecall(0, 0, None, None, None, 0.3)
    return ClassRecall(n, hits, hits / n, *interval(hits, n), 0.3)


def report(*budgets, clean=50):
    """Per budget, hits and n by class."""
    entries = [
        BudgetRecall(0.1 * 10**i, 0.3, 0.05, {name: row(*pair) for name, pair in b.items()})
        for i, b in enumerate(budgets)
    ]
    return RecallReport("val", 0.5, 0.95, 100, clean, tuple(entries))


CLASSES = {"scratch": (20, 20), "pit": (10, 20), "crack": (5, 5), "dent": (0, 0)}


@pytest.fixture
def gate(tmp_path, capsys):
    """Runs the verb on a report, or on the text of one, and returns its code and what it printed."""

    def run(content, targets, *words):
        file, cfg = tmp_path / "recall.json", tmp_path / "targets.yaml"
        if isinstance(content, RecallReport):
            content.save(file)
        else:
            file.write_text(content if isinstance(content, str) else json.dumps(content))
        cfg.write_text(targets if isinstance(targets, str) else yaml.safe_dump(targets))
        code = main(["gate", str(file), "--targets", str(cfg), *words])
        return code, capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        ({"scratch": 0.8}, 0),
        ({"pit": 0.8}, 1),
        ({"crack": 0.9}, 2),
        ({"dent": 0.9}, 2),
        ({"scratch": 0.8, "crack": 0.9}, 2),
        ({"scratch": 0.8, "pit": 0.25}, 0),
        ({"crack": 0.9, "dent": 0.9, "pit": 0.8}, 1),
    ],
)
def test_the_exit_code_is_the_answer(gate, targets, code):
    answer, printed = gate(report(CLASSES), targets)
    assert answer == code
    assert printed.err == ""
    assert len(printed.out.splitlines()) == 2 + len(targets)


def test_the_lines(gate):
    _, printed = gate(report(CLASSES), {"dent": 0.9, "pit": 0.8, "crack": 0.9, "scratch": 0.9})
    assert printed.out.splitlines() == [
        "Promised recall on val (IoU 0.5, exact 95% intervals; budget: false boxes per clean image, which chose the threshold here and are not judged)",
        "verdict           class     recall               n   target   budget   needed",
        "cannot conclude   scratch   1.00 [0.83, 1.00]   20   0.9      0.1      16 more objects at this recall",
        "missed            pit       0.50 [0.27, 0.73]   20   0.8      0.1      "
        "retrain: the target is ruled out, more images will not help",
        "cannot conclude   crack     1.00 [0.48, 1.00]    5   0.9      0.1      31 more objects at this recall",
        "no data           dent      -                    0   0.9      0.1      36 objects, every one being found",
    ]


def test_the_first_budget_counts_unless_another_is_named(gate):
    two = report({"pit": (10, 20)}, {"pit": (20, 20)}, clean=0)
    assert gate(two, {"pit": 0.8})[0] == 1
    assert gate(two, {"pit": 0.8}, "--budget", "0.1")[0] == 1
    code, printed = gate(two, {"pit": 0.8}, "--budget", "1")
    assert code == 0
    assert "budget: false boxes per image, which chose" in printed.out
    assert printed.out.splitlines()[-1].split()[-2:] == ["0.8", "1"]


def test_the_promise_counts_and_not_what_the_report_was_written_with():
    noted = report({"pit": (20, 20)})
    low, high = interval(20, 20)
    classes = {"pit": ClassRecall(20, 20, 1.0, low, high, 0.3, target=0.99)}
    noted = RecallReport("val", 0.5, 0.95, 100, 50, (BudgetRecall(0.1, 0.3, 0.0, classes),))
    assert Gate.of(noted, {"pit": 0.8}).exit_code == 0


def test_the_level_is_the_report_s(gate):
    content = json.loads(CONTRACT)
    content["budgets"][0]["classes"]["crack"] |= {"hits": 12, "recall": 1.0, "low": 0.7, "high": 1.0}
    assert gate(content, {"crack": 0.8})[0] == 2
    assert gate({**content, "confidence": 0.8}, {"crack": 0.8})[0] == 0


def test_the_contract_s_minimal_report_is_enough(gate):
    assert gate(CONTRACT, "crack: 0.4")[0] == 0
    assert gate(CONTRACT, "crack: 0.7")[0] == 2
    assert gate(CONTRACT, "crack: 0.96")[0] == 1
    minimal = RecallReport.from_dict(json.loads(CONTRACT))
    assert (minimal.confidence, minimal.budgets[0].measured) == (0.95, None)
    assert minimal.budgets[0].classes["crack"].target is None
    assert "(conf 0.310)" in str(minimal)
    assert minimal.rows(1)[0][-1] == ""
    assert RecallReport.from_dict(minimal.to_dict()) == minimal


@pytest.mark.parametrize("key", ["ignored", "filtered"])
@pytest.mark.parametrize(
    ("name", "hits", "target", "unknown", "code"),
    [
        ("scratch", 40, 0.87, 0, 0),
        ("scratch", 40, 0.87, 1, 0),
        ("scratch", 40, 0.87, 2, 2),
        ("pit", 10, 0.8, 2, 1),
        ("pit", 10, 0.8, 200, 2),
        ("crack", 5, 0.9, 3, 2),
    ],
)
def test_images_that_were_left_out_turn_a_verdict_where_they_could(gate, key, name, hits, target, unknown, code):
    found = replace(report({"scratch": (40, 40), "pit": (10, 20), "crack": (5, 5)}), **{key: unknown})
    answer, printed = gate(found, {name: target})
    assert answer == code
    turned = {"scratch": "met on the images read, not if the class is missed on 2 images left out"}
    turned["pit"] = "missed on the images read, not if the class is found on 200 images left out"
    assert (turned.get(name, "...") in printed.out) == (code == 2 and name in turned)
    assert (f"{unknown} of {100 + unknown} images" in printed.out) == (unknown > 0)
    if key == "filtered":
        by_class = replace(found, filtered_by="classes=[0, 1]")  # their labels are known
        assert gate(by_class, {name: target})[0] == {"scratch": 0, "pit": 1, "crack": 2}[name]
        assert gate(replace(found, filtered_by="classes=[0, 1] and fraction=0.5"), {name: target})[0] == code
    n = {"scratch": 40, "pit": 20, "crack": 5}[name] + unknown
    if name == "scratch":  # the worst case, restated
        assert (interval(hits, n, method="exact")[0] >= target) == (code == 0)
    elif name == "pit":
        assert (interval(hits + unknown, n, method="exact")[1] < target) == (code == 1)


def test_a_promise_kept_on_images_of_train_alone_is_not_met(gate):
    found = report({"scratch": (40, 40), "pit": (10, 20)})
    for shared, code in ((0, 0), (3, 0), (20, 2), (100, 2)):
        answer, printed = gate(replace(found, in_train=shared), {"scratch": 0.87})
        assert answer == code
        assert (shared < 40 and interval(40 - shared, 40 - shared, method="exact")[0] >= 0.87) == (code == 0)
        assert ("what is read is memory" in printed.out) == (shared > 0)
    assert "met on the images read, not without 100 images that train has too" in printed.out
    assert gate(replace(found, in_train=100), {"pit": 0.8})[0] == 1  # missed in spite of memory


def test_images_that_train_has_too_may_be_unknown(gate):
    unknown = replace(report({"scratch": (40, 40)}), in_train=None)
    code, printed = gate(unknown, {"scratch": 0.88})
    assert code == 0
    assert "Images of train were not found" in printed.out
    assert RecallReport.from_dict(unknown.to_dict()) == unknown


def test_more_keys_are_welcome():
    content = json.loads(CONTRACT)
    more = {**content, "author": "somebody", "budgets": [{**content["budgets"][0], "note": [1]}]}
    more["budgets"][0]["classes"] = {"crack": {**content["budgets"][0]["classes"]["crack"], "colour": None}}
    assert RecallReport.from_dict(more) == RecallReport.from_dict(content)


def test_a_class_without_objects_may_say_null_or_nothing_known():
    content = json.loads(CONTRACT)
    crack = content["budgets"][0]["classes"]["crack"]
    for low, high in ((None, None), (0, 1)):
        crack |= {"n": 0, "hits": 0, "recall": None, "low": low, "high": high}
        assert Gate.of(RecallReport.from_dict(content), {"crack": 0.9}).promises[0].verdict == "no data"


def changed(path, value):
    """The contract's report with one key set, or taken away by `...`."""
    content = node = json.loads(CONTRACT)
    *parents, last = path
    for key in parents:
        node = node[key]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return content


CRACK = ("budgets", 0, "classes", "crack")


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("schema",), 2, "schema: expected schema 1, got 2"),
        (("schema",), ..., "schema: expected schema 1, got null"),
        (("iou",), ..., "iou: missing"),
        (("images",), "267", 'images: expected a valid integer, got "267"'),
        (("confidence",), 95, "confidence: expected a level in (0, 1), got 95"),
        (("budgets",), ..., "budgets: missing"),
        (("budgets",), [], "budgets: expected at least one"),
        (("copies",), -1, "copies: expected greater than or equal to 0, got -1"),
        (("in_train",), "3", 'in_train: expected a valid integer, got "3"'),
        (("budgets", 0), 3, "budgets.0: expected an object, got 3"),
        (("budgets", 0, "threshold"), ..., "budgets.0.threshold: missing"),
        (("budgets", 0, "classes"), [], "budgets.0.classes: expected an object, got []"),
        (CRACK, None, "budgets.0.classes.crack: expected an object, got null"),
        ((*CRACK, "n"), ..., "budgets.0.classes.crack.n: missing"),
        ((*CRACK, "n"), 12.5, "budgets.0.classes.crack.n: expected a valid integer"),
        ((*CRACK, "n"), True, "budgets.0.classes.crack.n: expected a valid integer, got true"),
        ((*CRACK, "n"), -1, "budgets.0.classes.crack.n: expected 0 or more objects, got -1"),
        ((*CRACK, "hits"), 13, "budgets.0.classes.crack.hits: expected 0 to n = 12, got 13"),
        ((*CRACK, "low"), None, "budgets.0.classes.crack.low: expected a number in [0, 1], got null"),
        ((*CRACK, "low"), float("nan"), "budgets.0.classes.crack.low: expected a finite number, got NaN"),
        ((*CRACK, "high"), 1.2, "budgets.0.classes.crack.high: expected a number in [0, 1], got 1.2"),
        ((*CRACK, "low"), 0.95, "budgets.0.classes.crack.low: expected no more than high = 0.91, got 0.95"),
        ((*CRACK, "confidence"), 1.0, "budgets.0.classes.crack.confidence: expected a level in (0, 1), got 1.0"),
        (
            (*CRACK, "wilson"),
            [2, 3],
            "budgets.0.classes.crack.wilson: expected two numbers in [0, 1], the lower one first, got [2.0, 3.0]",
        ),
        (
            (*CRACK, "exact"),
            [0.9, 0.5],
            "budgets.0.classes.crack.exact: expected two numbers in [0, 1], the lower one first, got [0.9, 0.5]",
        ),
        ((*CRACK, "n_effective"), 0.0, "budgets.0.classes.crack.n_effective: expected a number above 0, got 0.0"),
        ((*CRACK, "target"), 7.0, "budgets.0.classes.crack.target: expected a recall in (0, 1], got 7.0"),
        ((*CRACK, "images"), 13, "budgets.0.classes.crack.images: expected 1 to n = 12, got 13"),
        ((*CRACK, "recall"), ..., "budgets.0.classes.crack.recall: missing"),
        (("schema",), True, "schema: expected schema 1, got true"),
        (("iou",), 7, "iou: expected an overlap in (0, 1], got 7"),
        (("images",), -1, "images: expected greater than or equal to 0, got -1"),
        (("images",), 10**400, "images: expected a number of less than 64 bits, got a huge number"),
        (("clean_images",), 268, "clean_images: expected at most images = 267, got 268"),
        (("ignored",), -1, "ignored: expected greater than or equal to 0, got -1"),
        (("budgets", 0, "false_alarms"), -0.1, "budgets.0.false_alarms: expected greater than or equal to 0, got -0.1"),
        (("budgets", 0, "measured"), float("inf"), "budgets.0.measured: expected a finite number, got Infinity"),
        (("budgets", 0, "threshold"), 31, "budgets.0.threshold: expected a confidence in [0, 1], got 31"),
        ((*CRACK, "precision"), 1.2, "budgets.0.classes.crack.precision: expected less than or equal to 1, got 1.2"),
        ((*CRACK, "hits"), 3, "budgets.0.classes.crack.recall: expected hits / n = 0.25, got 0.75"),
        (
            (*CRACK, "low"),
            0.8,
            "budgets.0.classes.crack.low: expected an interval around recall = 0.75, got [0.8, 0.91]",
        ),
        (
            (*CRACK, "wilson"),
            [0.9, 1.0],
            "budgets.0.classes.crack.wilson: expected an interval around recall = 0.75, got [0.9, 1.0]",
        ),
        (("note",), json.loads("[" * 60 + "]" * 60), "note.0.0...: nested more than"),
    ],
)
def test_a_report_that_cannot_be_believed_is_one_line(gate, tmp_path, path, value, line):
    code, printed = gate(changed(path, value), {"crack": 0.4})
    assert code == 4
    assert printed.out == ""
    (said,) = printed.err.splitlines()
    assert said.startswith(f"error: {tmp_path / 'recall.json'}: {line}")


def test_recall_without_objects_is_refused():
    content = changed((*CRACK, "n"), 0)
    content["budgets"][0]["classes"]["crack"]["hits"] = 0
    with pytest.raises(DataError, match=r"crack\.recall: expected null without objects, got 0\.75"):
        RecallReport.from_dict(content)


def test_budgets_have_the_same_classes():
    content = json.loads(CONTRACT)
    other = copy.deepcopy(content["budgets"][0])
    other["classes"]["pit"] = other["classes"].pop("crack")
    content["budgets"].append(other)
    with pytest.raises(DataError, match=r"recall report: budgets\.1\.classes: expected the classes of the first"):
        RecallReport.from_dict(content)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"schema": 1}', "\udcff"], ids=repr)
def test_a_file_that_is_no_report_is_one_line(tmp_path, text):
    file = tmp_path / "recall.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError) as e:
        RecallReport.load(file)
    assert str(e.value).startswith(f"{file}: ")
    assert "\n" not in str(e.value)


def test_a_report_that_is_not_there_is_one_line(tmp_path, capsys):
    cfg = tmp_path / "t.yaml"
    cfg.write_text("crack: 0.9")
    assert main(["gate", str(tmp_path / "none.json"), "--targets", str(cfg)]) == 4
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'none.json'}: expected the recall.json of a run, but it cannot be read "
        "(No such file or directory)\n"
    )


@pytest.mark.parametrize(
    "content",
    [
        {"crack": 0.9, "pit": 0.5},
        {"targets": {"crack": 0.9, "pit": 0.5}},
        {"recall": {"targets": {"crack": 0.9, "pit": 0.5}}, "losses": {"focal": {}}},
        {
            "model": "a.pt",
            "data": "b.yaml",
            "epochs": 3,
            "balance": {"recall": {"targets": {"crack": 0.9, "pit": 0.5}}},
        },
        {"balance": {"recall": {"targets": {"crack": 0.9, "pit": 0.5}}}},
    ],
    ids=["plain", "recall section", "balance section", "run", "run without model"],
)
def test_targets_are_read_from_any_yaml_that_states_them(tmp_path, content):
    file = tmp_path / "t.yaml"
    file.write_text(yaml.safe_dump(content))
    assert read_targets(file) == {"crack": 0.9, "pit": 0.5}


@pytest.mark.parametrize("name", ["model", "data", "balance", "recall", "targets"])
def test_a_class_may_be_called_like_a_section(tmp_path, name):
    file = tmp_path / "t.yaml"
    file.write_text(f"{name}: 0.9")
    assert read_targets(file) == {name: 0.9}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "no targets, expected balance.recall.targets or lines such as crack: 0.95"),
        ("model: a.pt\ndata: demo\n", "no targets"),
        ("balance: {recall: {targets: null}}", "no targets"),
        ("recall:", "no targets"),
        ("targets: {}", "no targets"),
        ("crack: 95", "crack: expected less than or equal to 1, got 95"),
        ("crack: high", "crack: expected a valid number, got high"),
        ("targets: {crack: 0}", "crack: expected greater than 0, got 0"),
        ("recall: {target: {crack: 0.9}}", "balance.recall.target: unknown key, the nearest valid one is"),
        ("[1, 2]", "expected a mapping of keys at the top level"),
        ("crack: [", "not valid YAML"),
    ],
)
def test_targets_that_are_none_are_one_line(gate, tmp_path, text, line):
    code, printed = gate(CONTRACT, text)
    assert code == 4
    (said,) = printed.err.splitlines()
    assert said.startswith(f"error: {tmp_path / 'targets.yaml'}: {line}")


def test_a_class_or_budget_the_report_does_not_know_is_one_line_each(gate):
    code, printed = gate(report(CLASSES), {"crac": 0.9, "rust\n": 0.9, "pit": 0.1})
    assert code == 4
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "error: targets: the report has no class crac, its classes are scratch, pit, crack, dent",
        r"error: targets: the report has no class rust\n, its classes are scratch, pit, crack, dent",
    ]
    code, printed = gate(report(CLASSES), {"pit": 0.1}, "--budget", "0.2")
    assert (code, printed.err) == (4, "error: --budget: expected one the report was read at (0.1), got 0.2\n")
    with pytest.raises(ConfigError):
        Gate.of(report(CLASSES), {"crac": 0.9})


def test_words_the_verb_does_not_take_are_one_line(gate):
    for words in (["--budget", "much"], ["epochs=3"], ["--out", "x"]):
        code, printed = gate(CONTRACT, {"crack": 0.4}, *words)
        assert code == 4
        assert len(printed.err.splitlines()) == 1
    assert main(["gate", "recall.json"]) == 4


def test_whatever_a_class_is_called_a_line_stays_a_line(gate):
    names = ["a\nb", "[bold]x[/bold]", "\x1b[31mred", "ünïcode"]
    code, printed = gate(report(dict.fromkeys(names, (20, 20))), dict.fromkeys(names, 0.8))
    assert code == 0
    assert len(printed.out.splitlines()) == 6
    assert "\x1b" not in printed.out
    assert "[bold]x[/bold]" in printed.out


def test_a_bug_is_another_code(gate, monkeypatch):
    monkeypatch.setattr("yolo_balance.recall.decisions.gate.needed", lambda *given, **options: 1 / 0)
    assert gate(CONTRACT, {"crack": 0.9})[0] == 3


def test_the_gate_needs_neither_torch_nor_ultralytics(tmp_path):
    (tmp_path / "recall.json").write_text(CONTRACT)
    (tmp_path / "t.yaml").write_text("crack: 0.4")
    script = (
        "import sys; from yolo_balance.cli import main\n"
        f"assert main(['gate', {str(tmp_path / 'recall.json')!r}, '--targets', {str(tmp_path / 't.yaml')!r}]) == 0\n"
        "loaded = {'torch', 'ultralytics', 'cv2', 'matplotlib'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
