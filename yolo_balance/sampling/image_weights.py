"""Weights that a user gives to images: a factor for single images, and the share of an epoch for each group of images.

Sources are a CSV file (`balance.sampling.images`) and a rule on image files (`balance.sampling.groups`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolo_balance.arrays import Bools, Floats, Ints
from yolo_balance.config import SamplingConfig
from yolo_balance.config.sampling import GroupsConfig
from yolo_balance.errors import ConfigError
from yolo_balance.image_keys import ImageKeys, ImageTable
from yolo_balance.recall.evidence.units import unit_ids
from yolo_balance.sampling.factors import background_share
from yolo_balance.text import counted, listed, plain

FACTOR = "factor"
IMAGES, GROUPS = "balance.sampling.images", "balance.sampling.groups"
ROUNDS = 100  # of fitting both the groups and the background; each round is a few passes over the images
CLOSE = 1e-9
LARGEST = 1e6


@dataclass(frozen=True)
class ImageWeights:
    """Weights of I images, in G groups.

    Attributes:
        factors: (I,) factor of each image, 1 for one without.
        group: (I,) group of each image, counted from 0.
        names: Names of the groups; one without a name where no shares are asked for.
        shares: (G,) share of each group in the images of an epoch; the only one's is 1.
    """

    factors: Floats
    group: Ints
    names: tuple[str, ...]
    shares: Floats

    @classmethod
    def read(cls, options: SamplingConfig, files: Sequence[str], folder: Path | None = None) -> ImageWeights | None:
        """Read the weights that a section asks for; None where it asks for none.

        Args:
            options: `balance.sampling`.
            files: Image files of train.
            folder: Folder of the data YAML, where CSV files are looked for first.

        Raises:
            ConfigError: A file that cannot be read; a row of no train image, or with a factor that is none; an image
                without a group, a group without an image, or shares that do not go together.
        """
        groups = options.groups if options.groups is not None and options.groups.shares else None
        if options.images is None and groups is None:
            return None
        factors, group = np.ones(len(files)), np.zeros(len(files), np.int64)
        names: tuple[str, ...] = ("",)
        shares = np.ones(1)
        if options.images is not None:
            factors = _factors(options.images, files, folder)
        if groups is not None:
            keys = ImageKeys.read(groups.by, option=f"{GROUPS}.by", folder=folder).of(files)
            group, names = unit_ids(keys), tuple(dict.fromkeys(keys))
            shares = _shares(groups, names, np.bincount(group))
        weights = cls(factors, group, names, shares)
        if empty := [plain(name) for name, sum_ in zip(names, weights.sums(factors), strict=True) if not sum_]:
            what = "every train image" if groups is None else f"every image of {listed(empty)}"
            raise ConfigError(f"{IMAGES}: expected a factor above 0 for some image, but {what} has 0")
        return weights

    @property
    def grouped(self) -> bool:
        """Whether shares of groups are asked for."""
        return self.names != ("",)

    def sums(self, values: Floats) -> Floats:
        """Sum (I,) values by group."""
        return np.bincount(self.group, weights=values, minlength=len(self.names)).astype(np.float64)

    def fitted(self, factors: Floats, background: Bools, share: float | None) -> Floats:
        """Scale factors so that each group, and the images without a box, have their shares of an epoch.

        The two are scaled in turn until both hold (iterative proportional fitting, Deming and Stephan 1940), groups
        last. Where both cannot hold, as in a group of clean images alone, the groups' shares hold.

        Args:
            factors: (I,) factors that classes and `factors` give.
            background: (I,) whether an image has no box.
            share: Share of these in an epoch; None for the data's.
        """
        if len(self.names) == 1:
            return background_share(factors, background, share)
        for _ in range(ROUNDS):
            before = factors
            factors = background_share(factors, background, share)
            sums = self.sums(factors)
            factors = factors * (self.shares * sums.sum() / sums)[self.group]
            if np.allclose(factors, before, rtol=CLOSE, atol=0):
                break
        return factors


def _factors(name: str, files: Sequence[str], folder: Path | None) -> Floats:
    """Read (I,) factors from a CSV file with the columns image and factor; 1 for an image without a row."""
    table = ImageTable.read(name, option=IMAGES, folder=folder)
    lines = table.lines_of(files, FACTOR, option=IMAGES)
    used = {line for found in lines for line in found}
    for line, row in table.rows.items():
        if line not in used:
            image = " ".join(plain(text) for column, text in zip(table.columns, row, strict=True) if column != FACTOR)
            raise ConfigError(f"{IMAGES}: {table.path.name}, line {line}: {image} is no image of train")
    place, factors = table.columns.index(FACTOR), np.ones(len(files))
    for i, found in enumerate(lines):
        for line in found[:1]:
            text = table.rows[line][place]
            try:
                factors[i] = float(text)
            except ValueError:
                factors[i] = math.nan
            if not 0 <= factors[i] <= LARGEST:
                raise ConfigError(
                    f"{IMAGES}: {table.path.name}, line {line}: expected a factor from 0 to {LARGEST:.0f}, "
                    f"got {plain(text) or 'nothing'}"
                )
    return factors


def _shares(options: GroupsConfig, names: Sequence[str], images: Ints) -> Floats:
    """Return (G,) shares: those that are stated, and for the other groups the rest, in proportion to their images."""
    known = listed([f"{plain(name)} ({counted(int(n), 'image')})" for name, n in zip(names, images, strict=True)])
    if unknown := [name for name in options.shares if name not in names]:
        raise ConfigError(f"{GROUPS}.shares.{plain(unknown[0])}: no train image is of this group, there are {known}")
    stated, total = np.array([name in options.shares for name in names]), math.fsum(options.shares.values())
    if stated.all() and not math.isclose(total, 1):
        raise ConfigError(f"{GROUPS}.shares: expected the sum 1, as every group is named, got {total:g}")
    if not stated.all() and total > 1 - CLOSE:
        rest = listed([plain(name) for name, there in zip(names, stated, strict=True) if not there])
        raise ConfigError(f"{GROUPS}.shares: expected a sum below 1 that leaves a share for {rest}, got {total:g}")
    of_rest = np.where(stated, 0, images)
    given: Mapping[str, float] = options.shares
    return np.array([given.get(name, 0.0) for name in names]) + (1 - total) * of_rest / max(int(of_rest.sum()), 1)
