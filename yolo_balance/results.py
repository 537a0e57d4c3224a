"""Results as people meet them in Python: one line when shown, a page in a notebook, a data frame."""

from __future__ import annotations

import html
import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from yolo_balance.errors import BalanceError

if TYPE_CHECKING:
    import polars


class Result(ABC):
    """Base of results: a subclass names its table in `columns` and describes itself in `__repr__`."""

    @abstractmethod
    def columns(self) -> dict[str, list[object]]:
        """Return the table of the result, a list of equal length per column."""

    def to_polars(self) -> polars.DataFrame:
        """Return the table as a polars data frame. Raises BalanceError in one line where polars is not installed."""
        try:
            frame: polars.DataFrame = importlib.import_module("polars").DataFrame(self.columns(), strict=False)
        except ModuleNotFoundError:
            raise BalanceError("to_polars: needs the package polars, which is not installed") from None
        return frame

    def to_pandas(self) -> object:
        """Return the table as a pandas DataFrame. Raises BalanceError in one line where pandas is not installed."""
        try:
            frame: object = importlib.import_module("pandas").DataFrame(self.columns())
        except ModuleNotFoundError:
            raise BalanceError("to_pandas: needs the package pandas, which is not installed; to_polars works") from None
        return frame

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the text of the result with its spacing."""
        return f"<pre>{html.escape(str(self))}</pre>"


def file_in(path: str | Path, name: str) -> Path:
    """Return the file to write: a path with the suffix of `name` as it is, else `name` in that folder, made if needed.

    Raises OSError where the folder cannot be made.
    """
    if Path(path).suffix == Path(name).suffix:
        return Path(path)
    Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path) / name
