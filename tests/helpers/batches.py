"""A batch of noise images with boxes, as Ultralytics' loaders collate it."""

from __future__ import annotations

import torch

CLASSES, SIZE = 3, 64


def batch(boxes_per_image=(3, 0, 5), *, seed=0):
    g = torch.Generator().manual_seed(seed)
    n = sum(boxes_per_image)
    return {
        "img": torch.rand(len(boxes_per_image), 3, SIZE, SIZE, generator=g),
        "batch_idx": torch.repeat_interleave(torch.arange(len(boxes_per_image)), torch.tensor(boxes_per_image)).float(),
        "cls": torch.randint(CLASSES, (n, 1), generator=g).float(),
        "bboxes": torch.cat([0.3 + 0.4 * torch.rand(n, 2, generator=g), 0.2 + 0.4 * torch.rand(n, 2, generator=g)], 1),
    }
