"""The sampler of a plain PyTorch loader, which follows a sampling plan."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler

from yolo_balance.sampling.epoch import SamplingPlan


class PlanSampler(Sampler[int]):
    """Image indices of one epoch of a plan, for a DataLoader of any training.

    Call `set_epoch` before each epoch: an epoch drawn twice shows the same images in the same order. Every rank has the
    same number of images. As with PyTorch's DistributedSampler, a loader with `persistent_workers` needs no more.

    Args:
        plan: Plan of the epochs.
        epoch: Epoch that the first iterator shows.
        rank: This process.
        world_size: Number of processes.

    Raises:
        ValueError: For a rank out of range.

    Example:
        >>> from yolo_balance.sampling import SamplingPlan, repeat_factors
        >>> factors = repeat_factors([[0], [0], [0], [0], [1]], num_classes=2)
        >>> sampler = PlanSampler(SamplingPlan(factors, size=10, seed=0))
        >>> for epoch in range(2):
        ...     sampler.set_epoch(epoch)
        ...     print(len(list(sampler)))  # or: for images, targets in DataLoader(dataset, sampler=sampler)
        10
        10
    """

    def __init__(self, plan: SamplingPlan, *, epoch: int = 0, rank: int = 0, world_size: int = 1):
        if not 0 <= rank < world_size:
            raise ValueError(f"rank: expected one in [0, {world_size}), got {rank!r}")
        self.plan, self.epoch, self.rank, self.world_size = plan, epoch, rank, world_size

    def images(self, epoch: int) -> list[int]:
        """Return this rank's images of an epoch."""
        images: list[int] = self.plan.epoch(epoch, rank=self.rank, world_size=self.world_size).tolist()
        return images

    def __iter__(self) -> Iterator[int]:
        return iter(self.images(self.epoch))

    def __len__(self) -> int:
        return -(-self.plan.size // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that a new iterator shows."""
        self.epoch = epoch
