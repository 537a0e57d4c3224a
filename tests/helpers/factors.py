"""Image factors of one strategy from labels in one call, beside `repeat_factors`."""

from yolo_balance.sampling import ClassStatistics
from yolo_balance.sampling.factors import (
    class_effective_number,
    class_inverse_frequency,
    class_uniform,
    image_factors,
)


def inverse_frequency_factors(images, num_classes, *, aggregate="max", max_repeat=None, **options):
    statistics = ClassStatistics.of(images, num_classes)
    r = class_inverse_frequency(statistics, **options)
    return image_factors(statistics, r, aggregate=aggregate, max_repeat=max_repeat)


def effective_number_factors(images, num_classes, *, aggregate="max", max_repeat=None, **options):
    statistics = ClassStatistics.of(images, num_classes)
    r = class_effective_number(statistics, **options)
    return image_factors(statistics, r, aggregate=aggregate, max_repeat=max_repeat)


def class_uniform_factors(images, num_classes, *, max_repeat=None):
    statistics = ClassStatistics.of(images, num_classes)
    return image_factors(statistics, class_uniform(statistics), aggregate="sum", max_repeat=max_repeat)
