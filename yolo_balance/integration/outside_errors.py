"""Errors from outside of a verb as one line: storage, memory, a file that vanished, a process that ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from yolo_balance.errors import BalanceError, HostError
from yolo_balance.integration.compat import one_line

WORDS = (
    *("PytorchStreamWriter", "inline_container"),  # torch.save on a full disk
    *("DataLoader worker", "shared memory", "No space left", "Insufficient memory", "not enough memory"),
)
"""Words of errors of PyTorch and OpenCV that are of no type of their own."""


@contextmanager
def outside_errors(verb: str, place: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Raise HostError in one line for an error from outside; any other error passes as it is.

    Args:
        verb: Verb that the error stops.
        place: Called for the folder that the verb writes into; the line names it where the error names no file.
    """
    try:
        yield
    except (BalanceError, BrokenPipeError):  # a pipe breaks where the reader of the output has gone
        raise
    except Exception as e:
        kinds = (OSError, MemoryError, torch.cuda.OutOfMemoryError)
        if not isinstance(e, kinds) and not any(word in str(e) for word in WORDS):
            raise
        where = None if getattr(e, "filename", None) else place()
        folder = f"; files are written into {where}" if where else ""
        raise HostError(f"{verb}: stopped ({one_line(e)}{folder})") from e
