"""Ultralytics' own options beside a balanced run are named before training, with what they amount to."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers.training import run

from yolo_balance.run_folder.balance_file import BalanceFile


@pytest.mark.parametrize("balance", [{"auto": True}, {"auto": True, "losses": {"isr": {"k": 2.0}}}])
def test_the_weights_of_cls_pw_are_multiplied_with_ours(tiny_data, tmp_path, caplog, balance):
    trainer = run(
        tiny_data, tmp_path, "run", way="attach", balance=balance, epochs=1, cls_pw=1.0, copy_paste=0.5
    ).trainer
    lines = [record.message.removeprefix("WARNING ⚠️ ") for record in caplog.records]
    (line,) = [line for line in lines if line.startswith("cls_pw: multiplies")]
    boxes = trainer.resolved.statistics.boxes
    found = re.findall(r"(\w+) ([\d.]+) x ([\d.]+) = ([\d.]+)", line)
    assert found
    for name, ours, stock, product in found:
        count = boxes[trainer.resolved.names.index(name)]
        np.testing.assert_allclose(float(stock), boxes.max() / count, rtol=0.01)
        np.testing.assert_allclose(float(product), float(ours) * float(stock), rtol=0.02)
    assert [line for line in lines if line.startswith("copy_paste: 0.5 has no effect")]
    assert ("max_weight" in line) == ("losses" in balance)

    classes = BalanceFile.load(trainer.save_dir).classes
    for row in classes.values():
        np.testing.assert_allclose(row["cls_pw"], boxes.max() / row["boxes"], rtol=1e-3)
        factors = row["shown"] * row["class_weight"] * row["isr"] * row["cls_pw"]
        np.testing.assert_allclose(row["product"], factors, rtol=1e-3)
    heading, *printed = (
        next(m for m in (r.message for r in caplog.records) if "Weight of an object" in m)
        .partition("Weight of an object")[2]
        .splitlines()[1:]
    )
    assert heading.split() == ["class", "shown", "class", "weight", "ISR-P", "cls_pw", "product"]
    assert [row.split()[-1] for row in printed if row] == [f"{row['product']:.2f}" for row in classes.values()]


def test_without_these_options_nothing_is_printed_of_them(tiny_data, tmp_path, caplog):
    folder = run(tiny_data, tmp_path, "run", way="attach", balance={"auto": True}, epochs=1).trainer.save_dir
    assert not any({"cls_pw", "product"} & row.keys() for row in BalanceFile.load(folder).classes.values())
    assert not [r for r in caplog.records if re.search("(cls_pw|copy_paste):", r.message)]
