"""Any input gives a configuration or ConfigError: lines that name a key or the file, and nothing else."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yolo_balance.config import SECTION, BalanceConfig, dotted_keys, read_yaml
from yolo_balance.errors import ConfigError

NUMBERS = [300, pytest.param(100_000, marks=pytest.mark.long)]
"""Inputs of each test, and those that `.ci/long` tries."""

ODD = st.sampled_from(
    [
        *(10**400, -(10**400), 1e308, -0.0, float("nan"), float("inf"), True, False, None, 0, 1, 0.5, 4),
        *("auto", "null", "median", "full", "a\nb", "\x00", "\ud800", "x" * 5000, "é: [", "on", "NO", "", "2020-13-45"),
        *(Path("a/b"), b"bytes", {1, 2}, (1, 2), object(), np.float64(0.5), np.float32(0.5), np.int64(3), np.ones(3)),
        *(datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1), complex(1, 2), range(3), BalanceConfig(), int),
    ]
)
HUGE = st.builds(pow, st.just(10), st.just(5000))  # more digits than Python writes out
KEYS = st.one_of(
    HUGE,
    st.sampled_from(sorted({part for key in dotted_keys() for part in key.split(".")})),
    st.text(max_size=12),
    st.sampled_from([1, True, None, 2.5, "y" * 3000, datetime.date(2020, 1, 1), (1, 2)]),
)
VALUES = st.recursive(
    st.one_of(ODD, HUGE, st.text(max_size=8), st.integers(), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def sections(draw):
    """A section with any values at valid places, some beside keys that are none."""
    section: dict = {}
    for dotted in draw(st.lists(st.sampled_from(dotted_keys()), min_size=1, max_size=5)):
        *parents, last = dotted.split(".")[1:]
        node = section
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                break
        else:
            node[last] = draw(VALUES)
    if draw(st.booleans()):
        section[draw(KEYS)] = draw(VALUES)
    return section


def checked(load, first):
    """Load; where that is refused, hold the lines against their form."""
    try:
        load()
    except ConfigError as e:
        lines = str(e).splitlines()
        assert lines
        for line in lines:
            assert line.startswith(first), line
            assert ": " in line
            assert line.isprintable(), line
            assert len(line) < 1000


def limits(number):
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(max_examples=number, deadline=None, database=None, derandomize=True, suppress_health_check=checks)


@pytest.mark.parametrize("number", NUMBERS)
def test_any_section_is_a_configuration_or_lines_with_dotted_keys(number):
    @limits(number)
    @given(sections())
    def holds(section):
        checked(lambda: BalanceConfig.load({SECTION: section}), SECTION)

    holds()


@pytest.mark.parametrize("number", NUMBERS)
def test_any_value_in_place_of_the_section_is_one_line(number):
    @limits(number)
    @given(VALUES)
    def holds(value):
        checked(lambda: BalanceConfig.load({SECTION: value}), SECTION)

    holds()


FRAGMENTS = st.sampled_from(
    [
        *(
            "balance:",
            "  sampling:",
            "    power: ",
            "  losses: {focal: {beta: ",
            "}}",
            "\n",
            "\t",
            "- ",
            "? ",
            "&a ",
            "*a",
        ),
        *(
            "!!python/object:os.system ",
            "!!timestamp ",
            "!!int ",
            "2020-13-45",
            "1" * 5000,
            "0x",
            "1:60",
            "%",
            "---",
            "<<: ",
        ),
        *("[" * 50, "{" * 50, "\x00", "\ufeff", "é", '"', "'", "|", ">", "null", "~", ".nan", "on: off", ": ", "#"),
    ]
)


@pytest.mark.parametrize("number", NUMBERS)
def test_any_text_in_a_file_is_a_configuration_or_lines_that_name_the_file_or_a_key(number, tmp_path):
    file = tmp_path / "run.yaml"

    @limits(number)
    @given(st.one_of(st.lists(FRAGMENTS, max_size=12).map("".join), st.text(max_size=60)))
    def holds(text):
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        checked(lambda: BalanceConfig.load(file), (str(file), SECTION))

    holds()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", "not valid YAML (the key a stands in line 1 and again in line 2)"),
        (
            "balance:\n  auto: true\nepochs: 3\nbalance:\n  auto: false\n",
            "not valid YAML (the key balance stands in line 1 and again in line 4)",
        ),
        ("a: " + "[" * 60 + "]" * 60, "not valid YAML (line 1 is nested more than 40 levels deep)"),
        ("#" * 2_000_000, "cannot be read (expected at most 1,048,576 bytes)"),
        ("a: 2020-13-45", "not valid YAML (month must be in 1..12)"),
        ("- 1", "expected a mapping of keys at the top level, got [1]"),
    ],
)
def test_what_a_file_may_not_be_is_one_line(tmp_path, text, line):
    (file := tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ConfigError) as e:
        read_yaml(file)
    assert str(e.value) == f"{file}: {line}"


def test_equal_keys_of_different_mappings_and_merged_keys_are_read(tmp_path):
    (file := tmp_path / "run.yaml").write_text("a: &x {k: 1, l: [{k: 2}, {k: 3}]}\nb: {<<: *x, k: 4}\n")
    assert read_yaml(file) == yaml.safe_load(file.read_text())


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"recall": {"level": {}}}, "balance.recall.level: expected a level from 0.5 to below 1, got {}"),
        ({"sampling": {"power": {"a": 1}}}, "balance.sampling.power: expected a valid number, got {a: 1}"),
        (
            {"recall": {"targets": {False: 0.9}}},
            "balance.recall.targets.false: expected a name, in quotes where YAML reads it otherwise "
            "('NO', 'on', '5'), got false",
        ),
        (
            {"sampling": {"threshold": {"a": 1}}},
            "balance.sampling.threshold: expected 'median' or a frequency in (0, 1], got {a: 1}",
        ),
        ({"sampling": {"power": Path("a/b")}}, "balance.sampling.power: expected a valid number, got PosixPath('a/b')"),
    ],
)
def test_a_value_of_another_kind_keeps_the_colon_behind_its_key(section, line):
    with pytest.raises(ConfigError) as e:
        BalanceConfig.load(section)
    assert str(e.value) == line


def test_the_lines_of_a_file_with_many_problems_end(tmp_path):
    with pytest.raises(ConfigError) as e:
        BalanceConfig.load({"sampling": {f"key{i}": i for i in range(20_000)}})
    lines = str(e.value).splitlines()
    assert len(lines) == 41
    assert lines[-1] == "balance: 19960 more problems"
