"""One number per class, fixed for a run and read in every batch."""

from __future__ import annotations

import numpy.typing as npt
import torch
from torch import Tensor


class PerClass:
    """A float32 vector (C,) that is copied to each device once.

    A copy belongs to a process: pickling and deep copying take the numbers alone.
    """

    def __init__(self, values: npt.ArrayLike | Tensor):
        self.values = torch.as_tensor(values, dtype=torch.float32, device="cpu").detach().clone()
        self._copies: dict[torch.device, Tensor] = {}

    def on(self, device: torch.device) -> Tensor:
        """Return the vector (C,) on that device."""
        if device not in self._copies:
            with torch.inference_mode(False):  # a copy first made by a validation must serve training, too
                self._copies[device] = self.values.to(device)
        return self._copies[device]

    def __getstate__(self) -> dict[str, object]:
        return {"values": self.values, "_copies": {}}
