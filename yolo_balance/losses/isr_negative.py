"""Importance-based sample reweighting, negative part (ISR-N); Cao et al., Prime Sample Attention (2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from yolo_balance.losses.assignment import Assignment, Term, full_precision
from yolo_balance.losses.magnitude import preserving
from yolo_balance.losses.nms_clusters import suppression_clusters
from yolo_balance.losses.ranking import score_hlr


@torch.no_grad()
def isr_negative_weights(
    score: Tensor, group: Tensor, loss: Tensor, *, k: float = 0.5, bias: float = 0.0, mask: Tensor | None = None
) -> Tensor:
    """Compute weights that favour the best-scoring negative of every cluster, the likely false alarms.

        r  = Score-HLR of the sample, N = number of samples
        u  = (N - r) / N
        w  = ((1 - bias) * u + bias)^k
        w' = w * sum(loss) / sum(w * loss)

    k = 0 or bias = 1 gives ones. The reference form; training uses `ISRNegative`, which ranks each image's best-scoring
    negatives alone.

    Args:
        score: (N,) highest score of each sample over the classes.
        group: (N,) id of its cluster of overlapping samples, unique over the whole batch.
        loss: (N,) classification loss of each sample.
        k: Exponent.
        bias: Weight base of the last rank, in [0, 1].
        mask: (N,) bool, the entries that are samples; the others get weight 1. None: all are.

    Returns:
        (N,), at least float32, detached; sum(w' * loss) == sum(loss) over the samples.
    """
    loss = full_precision(loss)
    if mask is None:
        mask = torch.ones_like(loss, dtype=torch.bool)
    n = mask.sum().clamp(min=1).to(loss.dtype)
    return preserving(_weights(score_hlr(score, group, mask=mask), n, k, bias), loss, mask)


def _weights(rank: Tensor, n: Tensor, k: float, bias: float) -> Tensor:
    """Return weights w of the formula, of the dtype of `n`; ranks beyond the last get the last one's weight."""
    u = ((n - rank) / n).clamp(min=1 / n)
    return ((1 - bias) * u + bias).pow(k)


class ISRNegative(Term):
    """ISR-N weights on the negatives' classification loss, each negative's loss being the sum over its classes.

    As in the published sampler, an image is ranked for itself, and only negatives whose score is above `min_score` are:
    ranks among thousands of negatives that no detector would report would say nothing. All others take the weight of
    the image's last rank; an image without such negatives is left alone. Of at most `candidates` an image, the best are
    ranked. Which of equal scores comes first is not defined.

    Args:
        k: Exponent.
        bias: Weight base of the last rank, in [0, 1].
        min_score: Score above which a negative is ranked; 0.05 as published.
        by_class: Whether only candidates of one class suppress each other. The published clusters are of any class.
        candidates: Most negatives of an image that are ranked.
    """

    def __init__(
        self, *, k: float, bias: float, min_score: float = 0.05, by_class: bool = False, candidates: int = 256
    ):
        self.k, self.bias, self.min_score, self.by_class, self.candidates = k, bias, min_score, by_class, candidates

    @torch.no_grad()
    def anchor_weights(self, assignment: Assignment, loss: Tensor) -> Tensor:
        """Return (B, A) weights, detached, 1 for positives; the sum of each image's negative loss is preserved."""
        a, logits = assignment, assignment.logits_in_full()
        best = logits.amax(-1).masked_fill(a.foreground, -torch.inf)  # logits rank as their scores do
        score, index = best.topk(min(self.candidates, best.shape[1]), dim=1)
        row = torch.arange(len(index), device=index.device).unsqueeze(1)
        label = logits[row, index].argmax(-1) if self.by_class else torch.zeros_like(index)
        group = suppression_clusters(a.boxes[row, index], score, label)

        sample = score.sigmoid() > self.min_score
        image = row.expand_as(score)
        rank = score_hlr(score.flatten(), group.flatten(), mask=sample.flatten(), image=image.flatten())
        n = sample.sum(1, keepdim=True).clamp(min=1).float()
        ranked = _weights(rank.view_as(score), n, self.k, self.bias)
        lowest = _weights(n - 1, n, self.k, self.bias)
        weights = lowest.expand_as(best).scatter(1, index, ranked)
        return preserving(weights, loss, ~a.foreground, by_row=True)
