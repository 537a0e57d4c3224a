"""Pixels of a sample of a split's images: what the files hold, and what is left of it where Ultralytics reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from yolo_balance.text import listed

FAINT = 64
"""Grey levels of 256 that images should use, a quarter; 14-bit values in 16-bit files keep as many."""

CHANNELS = {1: "grey", 2: "grey with alpha", 3: "colour", 4: "colour with alpha"}
SCALE = (
    'python -c "import cv2, sys; [cv2.imwrite(f, cv2.convertScaleAbs(cv2.imread(f, -1), alpha=255 / {full})) '
    'for f in sys.argv[1:]]" FILES'
)
"""Command that rewrites images of values 0 to `full` as 8-bit ones."""


@dataclass(frozen=True)
class ImagePixels:
    """Pixels of one image.

    Attributes:
        depth: Kind of value in the file: `8-bit`, `16-bit`, `32-bit float`.
        channels: Values per pixel in the file.
        stored: Largest value in the file.
        read: Largest value that Ultralytics reads, of 255.
    """

    depth: str
    channels: int
    stored: float
    read: float


@dataclass(frozen=True)
class Depth:
    """Images of a sample that have one kind of value.

    Attributes:
        images: Number of images.
        stored: Largest value in the files.
        read: Largest value that Ultralytics reads, of 255.
    """

    images: int
    stored: float
    read: float

    @property
    def faint(self) -> bool:
        """Whether the brightest pixel of these images is nearly black for a network."""
        return self.read < FAINT

    @property
    def full_scale(self) -> int:
        """Largest value of the smallest camera, of 8, 10, 12, 14 or 16 bits, that gives the values in the files."""
        return next((2**bits - 1 for bits in (8, 10, 12, 14) if self.stored < 2**bits), 2**16 - 1)


@dataclass(frozen=True)
class Pixels:
    """Pixels of a sample of images.

    Attributes:
        images: Images of the sample.
        depths: Images by kind of value, the most frequent first.
        channels: Number of images by kind of channels, the most frequent first.
    """

    images: int
    depths: Mapping[str, Depth]
    channels: Mapping[str, int]

    @classmethod
    def of(cls, sample: Iterable[ImagePixels]) -> Pixels | None:
        """Count a sample; None without an image."""
        images = list(sample)
        if not images:
            return None
        depths = {}
        for depth, count in Counter(image.depth for image in images).most_common():
            alike = [image for image in images if image.depth == depth]
            depths[depth] = Depth(count, max(i.stored for i in alike), max(i.read for i in alike))
        kinds = Counter(CHANNELS.get(image.channels, f"{image.channels} channels") for image in images)
        return cls(len(images), depths, dict(kinds.most_common()))


def remarks(splits: Mapping[str, Pixels]) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each finding about the pixels of the splits."""
    depths = list(dict.fromkeys(depth for pixels in splits.values() for depth in pixels.depths))
    for depth in depths:
        faint = {s: p for s, p in splits.items() if depth in p.depths and p.depths[depth].faint}
        if faint:
            yield "faint", _faint(depth, faint)
    if len(depths) > 1:
        shown = [
            f"{split} {listed([f'{d.images} {depth}' for depth, d in pixels.depths.items()])}"
            for split, pixels in splits.items()
        ]
        yield (
            "mixed_depths",
            f"Bit depths are mixed among the images looked at: {'; '.join(shown)}. Images of one part then differ in "
            "brightness where Ultralytics reads them. Save all images alike.",
        )
    if len({kind for pixels in splits.values() for kind in pixels.channels}) > 1:
        shown = [
            f"{split} {listed([f'{count} {kind}' for kind, count in pixels.channels.items()])}"
            for split, pixels in splits.items()
        ]
        yield (
            "mixed_channels",
            f"Channels are mixed among the images looked at: {'; '.join(shown)}. If a class comes mostly from one "
            "kind, the model learns the camera and not the defect.",
        )


def _faint(depth: str, splits: Mapping[str, Pixels]) -> str:
    found = [pixels.depths[depth] for pixels in splits.values()]
    where = listed([f"{p.depths[depth].images} of {p.images} images of {split}" for split, p in splits.items()])
    read, full = max(d.read for d in found), max(d.full_scale for d in found)
    if depth == "8-bit":
        return (
            f"The brightest pixel is {read:g} of 255 in {where}: nearly black for a network. Raise the exposure or the "
            "gain of the camera, or scale the pixels of train, val and the line alike."
        )
    text = f"{where} are {depth}. Ultralytics reads {'their high byte' if depth == '16-bit' else 'them as 8-bit'}, "
    text += f"here 0 to {read:g} of 255: nearly black for a network."
    if depth != "16-bit":
        return f"{text} Save them as 8-bit images first, those of train, val and the line alike."
    return (
        f"{text} Rescale them to 8 bits first, those of train, val and the line alike. For values up to {full} this "
        f"command overwrites FILES, so give it copies: {SCALE.format(full=full)}"
    )
