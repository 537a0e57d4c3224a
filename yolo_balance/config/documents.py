"""Documents made from the schema: the commented YAML, the table of docs/keys.md and the JSON Schema for editors.

`python -m yolo_balance.config.documents`, run in the root of the repository, writes docs/keys.md and the last part of
cfg/defects.yaml anew.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolo_balance.config import BalanceConfig
from yolo_balance.config.reading import AUTO, SECTION, shown
from yolo_balance.config.section import GRADE, Section, subsection

WIDTH, COLUMN = 120, 34
GLUE = "\0"  # stands for a space at which no line breaks
GRADES = {
    "recommended": "helps in examples/benchmarks/RESULTS.md, guards a run, or belongs to every reading of recall",
    "to compare with": "a usual way to do it, for `yolo_balance compare`; no gain of its own was measured",
    "from the paper": "a published term or parameter at its published meaning; no gain was measured",
}

RUN = """\
# yolo_balance train THIS_FILE

# The keys of Ultralytics, as Ultralytics reads them -------------------------------------------------------------------
model: yolo26n.pt
data: demo                       # the path of your data YAML; demo is drawn on first use
epochs: 100
imgsz: 640

"""
HEAD = """\
# The keys of yolo_balance ---------------------------------------------------------------------------------------------
# Each key stands at its default. To state a key, uncomment it and the sections above it; a section left out is off.
# With `auto: true` a stated key of `sampling` stays, and auto fills the others.
# [recommended], [to compare with] and [from the paper] grade a key; a key without a grade has that of its section.
"""
TABLE_HEAD = """\
# Keys of the `balance:` section

Made from the schema by `python -m yolo_balance.config.documents`; `yolo_balance init` prints the same as a commented
YAML, and `yolo_balance schema` as a JSON Schema for editors. A section that is left out is off.

"""


@dataclass(frozen=True)
class OptionKey:
    """A key of the YAML and its one description.

    Attributes:
        path: Dotted key, as in `balance.losses.isr.k`.
        opens: Whether the key opens a section of keys.
        default: Default value as YAML; null for a section, which is then off.
        values: Allowed values in words.
        grade: Key of GRADES.
        own_grade: Whether the grade differs from that of the section around the key.
        description: The docstring below the field, on one line.
    """

    path: str
    opens: bool
    default: str
    values: str
    grade: str
    own_grade: bool
    description: str


def keys(model: type[Section] = BalanceConfig, prefix: str = SECTION, grade: str = "") -> Iterator[OptionKey]:
    """Yield every key below a section in the order of the schema, a section before its keys."""
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        own = properties[name].get(GRADE, grade)
        section = subsection(field)
        yield OptionKey(
            path=f"{prefix}.{name}",
            opens=section is not None,
            default="null" if section else shown(field.default),
            values=_values(properties[name]),
            grade=own,
            own_grade=own != grade,
            description=" ".join((field.description or "").split()),
        )
        if section:
            yield from keys(section, f"{prefix}.{name}", own)


def run_yaml() -> str:
    """Return the commented YAML of a whole run, valid as it stands."""
    return RUN + section_yaml()


def section_yaml() -> str:
    """Return the commented YAML of the `balance:` section: `auto` on, every other key commented out at its default."""
    return "\n".join([f"{HEAD}{SECTION}:", *(line for key in keys() for line in _yaml_lines(key))]) + "\n"


def table() -> str:
    """Return docs/keys.md."""
    lines = [*(f"- **{grade}**: {meaning}" for grade, meaning in GRADES.items()), ""]
    lines += ["| key | values | default | grade | description |", "|---|---|---|---|---|"]
    for key in keys():
        cells = (f"`{key.path}`", key.values, f"`{key.default}`", key.grade, key.description)
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return TABLE_HEAD + "\n".join(lines) + "\n"


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (draft 2020-12) of a whole run's YAML; Ultralytics' own keys may have any value."""
    section = BalanceConfig.model_json_schema()
    definitions = section.pop("$defs")
    section["description"] = "Keys of yolo_balance. A section that is left out is off."
    balance = {
        "description": f"Keys of yolo_balance; `{AUTO}` is short for `auto: true`, null trains as Ultralytics does.",
        "anyOf": [{"const": AUTO}, {"$ref": "#/$defs/BalanceConfig"}, {"type": "null"}],
        "default": None,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Run of yolo_balance",
        "description": "The keys of Ultralytics, and those of yolo_balance below `balance`.",
        "type": "object",
        "properties": {SECTION: balance},
        "additionalProperties": True,
        "$defs": {"BalanceConfig": section, **definitions},
    }


def _yaml_lines(key: OptionKey) -> list[str]:
    name = key.path.rpartition(".")[2]
    if name == AUTO:
        line = f"  {AUTO}: true"
    else:
        line = f"{'  ' * key.path.count('.')}# {name}:" + ("" if key.opens else f" {key.default}")
    start = max(COLUMN, len(line) + 2)
    comment = key.description + (f" [{key.grade}]".replace(" ", GLUE).replace(GLUE, " ", 1) if key.own_grade else "")
    wrapped = textwrap.wrap(comment, WIDTH - start - 2, break_long_words=False, break_on_hyphens=False)
    first, *rest = (words.replace(GLUE, " ") for words in wrapped)
    return [f"{line:<{start}}# {first}", *(f"{'':<{start}}# {more}" for more in rest)]


def _values(schema: Mapping[str, Any]) -> str:
    """Return the values that a JSON Schema allows in a few words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_values(option) for option in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if "$ref" in schema:
        return "section"
    kind = {"boolean": "`true`, `false`", "integer": "whole number", "string": "text", "null": "`null`"}
    if schema["type"] == "array":
        return f"list of: {_values(schema['items'])}"
    if schema["type"] == "object":
        names = schema.get("propertyNames")
        return f"by {_values(names) if names else 'class'}: {_values(schema['additionalProperties'])}"
    bounds = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{word} {schema[bound]:g}" for bound, word in bounds.items() if bound in schema]
    return " ".join([kind.get(schema["type"], schema["type"]), *limits])


def main() -> None:
    """Write docs/keys.md and the `balance:` part of cfg/defects.yaml below the working folder."""
    Path("docs").mkdir(exist_ok=True)
    Path("docs/keys.md").write_text(table(), encoding="utf-8")
    run, title = Path("cfg/defects.yaml"), HEAD.splitlines()[0]
    head = run.read_text(encoding="utf-8").partition(title)[0]
    run.write_text(head + section_yaml(), encoding="utf-8")


if __name__ == "__main__":
    main()
