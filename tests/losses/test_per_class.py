"""Laws of the numbers per class that terms read."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import torch

from yolo_balance.losses.per_class import PerClass

META = torch.device("meta")


def test_numbers_are_kept_apart_from_what_they_came_from():
    given = np.array([1.0, 2.0])
    kept = PerClass(given)
    given[0] = 9
    assert kept.on(torch.device("cpu")).tolist() == [1, 2]
    assert kept.on(torch.device("cpu")).dtype == torch.float32


def test_each_device_is_given_one_copy():
    numbers = PerClass(torch.tensor([1.0, 2.0]))
    assert numbers.on(META) is numbers.on(META)
    assert numbers.on(META).device == META
    assert numbers.on(torch.device("cpu")).device.type == "cpu"


def test_a_copy_first_asked_for_by_a_validation_serves_training():
    numbers = PerClass([1.0, 2.0])
    with torch.inference_mode():
        numbers.on(META)
    assert not numbers.on(META).is_inference()


def test_copies_of_a_process_stay_in_it():
    numbers = PerClass([1.0, 2.0])
    numbers.on(META)
    for again in (copy.deepcopy(numbers), pickle.loads(pickle.dumps(numbers))):
        assert again.values.tolist() == [1, 2]
        assert not again._copies
