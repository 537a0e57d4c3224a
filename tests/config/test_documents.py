"""Documents made from the schema: the commented YAML, docs/keys.md, the JSON Schema, and the verbs that print them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from yolo_balance import BalanceConfig
from yolo_balance.cli import main
from yolo_balance.config import documents, dotted_keys, parse_section
from yolo_balance.config.documents import GRADES, json_schema, keys, run_yaml, section_yaml, table
from yolo_balance.config.section import subsection

ROOT = Path(__file__).parents[2]
DEFECTS = (ROOT / "cfg" / "defects.yaml").read_text(encoding="utf-8")
COMMENTED = re.compile(r"^( +)# (\w+):(?: (.+?))? +# ")
VALIDATOR = Draft202012Validator(json_schema())


def commented_keys(text):
    """Dotted key -> (numbers of the lines of the key and its parents, shown value) of a commented YAML."""
    found, parents = {}, []
    for number, line in enumerate(text.splitlines()):
        if match := COMMENTED.match(line):
            indent, name, value = match.groups()
            parents = [parent for parent in parents if parent[0] < len(indent)] + [(len(indent), name, number)]
            found[".".join(["balance", *(name for _, name, _ in parents)])] = [n for *_, n in parents], value
    return found


SHOWN = commented_keys(DEFECTS)


def uncommented(text, numbers):
    lines = text.splitlines()
    for number in numbers:
        lines[number] = lines[number].replace("# ", "", 1)
    return "\n".join(lines)


def field_of(key):
    section = BalanceConfig
    *parents, name = key.split(".")[1:]
    for parent in parents:
        section = subsection(section.model_fields[parent])
    return section.model_fields[name]


def test_every_key_of_the_schema_is_shown_once_on_a_line_of_its_own():
    assert ["balance.auto", *SHOWN] == dotted_keys()
    assert len(re.findall(COMMENTED.pattern, DEFECTS, re.MULTILINE)) == len(SHOWN)  # no comment reads like a key


def test_the_yaml_as_it_stands_is_auto_alone():
    for text in (DEFECTS, run_yaml()):
        assert yaml.safe_load(text)["balance"] == {"auto": True}
    assert yaml.safe_load(run_yaml()).keys() >= {"model", "data", "epochs"}


@pytest.mark.parametrize("key", SHOWN)
def test_uncommenting_a_key_with_its_parents_is_valid_and_keeps_auto(key):
    numbers, value = SHOWN[key]
    content = yaml.safe_load(uncommented(DEFECTS, numbers))
    assert BalanceConfig.load(content).auto is True
    if not key.endswith(".on"):  # true to YAML 1.1 and to this reader; editors read YAML 1.2
        assert not list(VALIDATOR.iter_errors(content))
    stated = content["balance"]
    for name in key.split(".")[1:]:
        stated = stated[True if name == "on" else name]
    if subsection(field_of(key)) is None:
        assert stated == field_of(key).default == yaml.safe_load(value)
    else:
        assert stated is None


def test_the_documents_are_those_of_the_schema():
    assert DEFECTS.endswith("\n\n" + section_yaml())
    assert (ROOT / "docs" / "keys.md").read_text(encoding="utf-8") == table()


def test_the_command_writes_them_anew_and_leaves_the_keys_of_ultralytics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cfg").mkdir()
    (tmp_path / "cfg" / "defects.yaml").write_text(DEFECTS.replace("# sampling:", "# sampling_of_old:"), "utf-8")
    documents.main()
    assert (tmp_path / "cfg" / "defects.yaml").read_text("utf-8") == DEFECTS
    assert (tmp_path / "docs" / "keys.md").read_text("utf-8") == table()


def test_every_key_has_a_description_and_a_grade():
    rows = table()
    for key in keys():
        assert key.description.endswith("."), key.path
        assert key.grade in GRADES, key.path
        assert not re.search(r"\bhosts?\b", key.description), key.path
        assert f"| `{key.path}` |" in rows


def test_lines_of_the_yaml_are_120_wide_at_most():
    assert max(map(len, run_yaml().splitlines())) <= 120


def test_the_json_schema_accepts_every_file_of_cfg_and_is_of_the_draft_it_names():
    Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    for file in sorted((ROOT / "cfg").rglob("*.yaml")):
        assert not list(VALIDATOR.iter_errors(yaml.safe_load(file.read_text(encoding="utf-8")))), file


@pytest.mark.parametrize(
    "section",
    [
        "atuo",
        {"samplng": {}},
        {"sampling": {"powr": 1.0}},
        {"sampling": {"power": -1.0}},
        {"sampling": {"background": {"hrad": True}}},
        {"losses": {"isr": {"negatives": {"K": 0.5}}}},
        {"losses": {"carl": {"gain": "0.5"}}},
        {"recall": {"level": 0.25}},
        {"recall": {"iou": 0.52}},
        {"recall": {"best": "recall"}},
    ],
)
def test_the_json_schema_refuses_what_the_configuration_refuses(section):
    assert list(VALIDATOR.iter_errors({"epochs": 3, "balance": section}))
    assert parse_section(section)[1]


def test_every_key_of_the_json_schema_carries_its_description():
    definitions = json_schema()["$defs"]
    described = [p for d in definitions.values() for p in d["properties"].values() if p.get("description")]
    assert len(described) == sum(len(d["properties"]) for d in definitions.values())


# ---------------------------------------------------------------------------------------------------------------------
# The verbs
# ---------------------------------------------------------------------------------------------------------------------


def test_init_prints_or_writes_the_yaml_and_overwrites_nothing(tmp_path, capsys):
    file = tmp_path / "run.yaml"
    assert main(["init"]) == 0
    assert capsys.readouterr().out == run_yaml()
    assert main(["init", str(file)]) == 0
    assert file.read_text(encoding="utf-8") == run_yaml()
    capsys.readouterr()
    file.write_text("mine")
    for path, problem in [(file, "expected the path of a new file"), (tmp_path / "no" / "x.yaml", "cannot be written")]:
        assert main(["init", str(path)]) == 1
        assert re.fullmatch(rf"error: {re.escape(str(path))}: {problem}[^\n]*\n", capsys.readouterr().err)
    assert file.read_text() == "mine"


def test_schema_prints_the_json_schema(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


def test_validate_answers_in_one_line_or_with_every_problem(tmp_path, capsys):
    file = tmp_path / "run.yaml"
    file.write_text("model: none.pt\ndata: none.yaml\nepohcs: 3\nbalance: {sampling: {powr: 1}, recall: {level: 0.25}}")
    assert main(["validate", str(file), "balance.losses.focal.beta=-1"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: balance.sampling.powr: unknown key, the nearest valid one is balance.sampling.power",
        "error: balance.losses.focal.beta: expected greater than or equal to 0, got -1",
        "error: balance.recall.level: expected a level from 0.5 to below 1 (did you mean the conf of Ultralytics?), got 0.25",
    ]
    assert main(["validate", str(file), "balance=auto"]) == 0
    assert capsys.readouterr().out == (
        f"{file}: the balance section is valid; the keys of Ultralytics and the data were not checked\n"
    )
    assert main(["validate", str(tmp_path / "none.yaml")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'none.yaml'}: no such file\n"


@pytest.mark.parametrize("verb", ["validate", "schema", "init"])
def test_the_verbs_of_the_schema_load_neither_torch_nor_ultralytics(verb):
    words = [verb, str(ROOT / "cfg" / "defects.yaml")][: 2 if verb == "validate" else 1]
    code = (
        f"import sys; from yolo_balance.cli import main; assert main({words!r}) == 0; "
        "print({'torch', 'ultralytics', 'numpy', 'cv2'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "set()\n")


def test_a_reader_of_the_output_may_stop_reading():
    verb = [sys.executable, "-m", "yolo_balance", "schema"]
    with subprocess.Popen(verb, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 1
