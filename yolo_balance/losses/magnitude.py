"""The magnitude of a loss: sums that weights preserve, and the gradient's size that all terms preserve together."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

SUM = 1024.0  # sum of a gradient's sizes at the logits, so that half-precision layers neither overflow nor underflow
DECAY = 0.98  # of running averages, a batch: the last 50 batches count
Node = torch.autograd.graph.Node


def entropy(target: Tensor) -> Tensor:
    """Return the cross-entropy of soft targets with themselves, BCE(t, t): elementwise, >= 0, 0 at 0 and 1."""
    return -(torch.xlogy(target, target) + torch.xlogy(1 - target, 1 - target))


def preserving(weights: Tensor, loss: Tensor, mask: Tensor | None = None, *, by_row: bool = False) -> Tensor:
    """Rescale weights to keep the sum of the weighted loss: w * sum(loss) / sum(w * loss), the ratio detached.

    Args:
        weights: Any shape that broadcasts against `loss`.
        loss: Elementwise loss, >= 0.
        mask: Entries that the weights are for, broadcast likewise; the others get weight 1. None: all.
        by_row: Keep the sum of each row of the last dimension, and not that of all entries alone.

    Returns:
        Weights in the shape of `weights`, `loss` or `mask` broadcast; plain ones where there is nothing to rescale.
    """
    loss = loss.detach() if mask is None else torch.where(mask, loss.detach(), 0.0)
    dims = (-1,) if by_row else tuple(range(loss.ndim))
    scaled = weights * ratio(loss.sum(dims, keepdim=by_row), (weights.detach() * loss).sum(dims, keepdim=by_row))
    return scaled if mask is None else torch.where(mask, scaled, 1.0)


def ratio(total: Tensor, kept: Tensor) -> Tensor:
    """Return the scale that restores a total: total / kept, or 1 where that is no finite number."""
    scale = total / kept
    return torch.where(scale.isfinite(), scale, 1.0)


def gradient_preserving(loss: Tensor, stock: Tensor, logits: Tensor, *, running: RunningScale | None = None) -> Tensor:
    """Rescale a loss to the gradient of the stock loss: loss * |dstock / dtheta| / |dloss / dtheta|, ratio detached.

    theta are the parameters of the layer that made the logits, and |.| is the L2 norm over all of them. Sums of a loss
    do not tell the size of a gradient: a share of the loss has none, and entries that pull together count more than
    entries that cancel. Costs two backward passes through that one layer, and no device synchronisation.

    Args:
        loss: Any shape, with gradient to the logits.
        stock: Same shape, the loss whose gradient sets the size.
        logits: Logits that both were computed from.
        running: Average over batches that takes the place of each batch's own ratio.

    Returns:
        The loss rescaled. Unchanged where nothing is trained, where a gradient is zero or not finite, or where the
        logits come out of compiled code, which cannot be run backwards twice.
    """
    theta = nearest_parameters(logits)
    if not theta:
        return loss
    squares = torch.stack([_squared_gradient(x, theta) for x in (stock, loss)])
    if running is not None:
        squares = running.add(squares)
    return loss * ratio(*squares.sqrt())


def _squared_gradient(loss: Tensor, theta: list[Tensor]) -> Tensor:
    """Return the squared L2 norm of a loss's gradient over all parameters, float32."""
    scale = SUM / loss.detach().sum().clamp(min=torch.finfo(loss.dtype).tiny)
    gradients = torch.autograd.grad((loss * scale).sum(), theta, retain_graph=True, allow_unused=True)
    squares = [g.float().square().sum() for g in gradients if g is not None]
    return torch.stack(squares).sum() / scale.square() if squares else scale.new_zeros(())


class RunningScale:
    """Moving averages of two squared gradient norms, stock and weighted, over batches and ranks.

    For weights that must not be rescaled batch by batch: a batch of one class would undo the weight of the class.
    State of a run, to be saved beside the weights and restored on resuming.

    Attributes:
        averages: (2,) stock and weighted.
    """

    def __init__(self) -> None:
        self.averages = torch.zeros(2)

    @torch.no_grad()
    def add(self, squares: Tensor) -> Tensor:
        """Add a batch's (2,) squared norms, and return the averages; the first batch's are its own."""
        squares = squares.detach().nan_to_num(nan=0.0, posinf=0.0)  # a step that the gradient scaler skips
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(squares)
        self.averages = DECAY * self.averages.to(squares.device) + (1 - DECAY) * squares
        return self.averages

    def state(self) -> list[float]:
        """Return the averages as a list, for JSON. Waits for the device."""
        averages: list[float] = self.averages.tolist()
        return averages

    def restore(self, state: Sequence[float]) -> None:
        """Restore the averages that `state` returned."""
        self.averages = torch.tensor(list(state), dtype=torch.float32)

    def __getstate__(self) -> dict[str, object]:
        return {"averages": self.averages.cpu()}


def nearest_parameters(logits: Tensor) -> list[Tensor]:
    """Return the leaves with gradient that the logits reach first: weights and biases of the last layer.

    Nodes that only reshape, slice, join or convert are passed through. Logits that are leaves are returned themselves.
    Empty where no backward pass follows, and where the logits come out of compiled code.
    """
    if not (torch.is_grad_enabled() and logits.requires_grad) or torch.compiler.is_compiling():
        return []
    if logits.grad_fn is None:
        return [logits]
    found: dict[int, Tensor] = {}
    seen, open_nodes = {logits.grad_fn}, deque([logits.grad_fn])
    while open_nodes:
        node = open_nodes.popleft()
        if node.name().startswith("CompiledFunction"):
            return []
        children = [child for child, _ in node.next_functions if child is not None]
        leaves = [leaf for child in children if (leaf := _leaf(child)) is not None]
        found |= {id(leaf): leaf for leaf in leaves}
        if not leaves:
            open_nodes.extend(child for child in children if child not in seen)
            seen.update(children)
    return list(found.values())


def _leaf(node: Node) -> Tensor | None:
    """Return the leaf behind a node that accumulates its gradient, also behind a transposition or a conversion."""
    variable: Tensor | None = getattr(node, "variable", None)
    if variable is None and len(node.next_functions) == 1 and node.name().startswith(("TBackward", "ToCopyBackward")):
        child = node.next_functions[0][0]
        return None if child is None else _leaf(child)
    return variable
