"""What many bettors have on average: the evidence that they are right, each of whom began with an equal part of one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def log_mean(wealth: Numbers, weights: Numbers | None = None) -> Numbers:
    """Return the logarithm of the bettors' mean wealth (last axis) from that of each one's; of equal weight, unless told."""
    most = wealth.max(axis=-1, keepdims=True)
    mean: Numbers = most[..., 0] + np.log(np.average(np.exp(wealth - most), axis=-1, weights=weights))
    return mean
