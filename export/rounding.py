"""Rounding of weights to int8 so that the outputs move least, not the weights (GPTQ: Frantar et al., ICLR 2023).

Inputs of a layer are correlated, so what one weight's rounding adds, the next ones can take back. With the second
moments ``H = Σ x xᵀ`` of a layer's inputs and ``U`` the upper Cholesky factor of ``H⁻¹``, columns are rounded in turn::

    q_i = round(w_i / s)        w_j −= (w_i − s · q_i) / U_ii · U_ij      for all j > i

Every output channel keeps its own scale ``s = max |w| / 127`` with the largest weight at ±127, so that any quantiser
finds the same scale, and the same integers, in the rounded weights.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.layers.conv import Conv

DAMPING = 0.01  # of the mean second moment, added to all: inputs that hardly occur must not be counted on
COLUMNS = 20_000  # inputs that are enough to know their moments


def moments(conv: Conv, x: Tensor) -> Tensor:
    """Second moments of what each group of a convolution multiplies, ``[groups, K, K]``; inputs ``[B, C, T, F]``."""
    core = conv.conv
    patches = functional.unfold(x, core.kernel_size, core.dilation, core.padding, core.stride)  # [B, C · kernel, L]
    groups = core.groups
    columns = patches.reshape(len(x), groups, -1, patches.shape[2]).permute(1, 2, 0, 3).flatten(2)  # [groups, K, B · L]
    columns = columns[:, :, :: max(1, columns.shape[2] // COLUMNS)].double()
    return columns @ columns.mT


def rounded(weight: Tensor, moments: Tensor) -> Tensor:
    """Weights ``[out, in / groups, …]`` as multiples of their channel's scale."""
    groups = len(moments)
    rows = weight.detach().double().reshape(groups, -1, moments.shape[1]).clone()  # [groups, out / groups, K]
    largest = rows.abs().argmax(2, keepdim=True)
    scale = rows.abs().amax(2) / 127
    scale[scale == 0] = 1
    mean = moments.diagonal(dim1=1, dim2=2).mean(1)
    eye = torch.eye(moments.shape[1], dtype=torch.float64)
    inverse = torch.linalg.inv(moments + (DAMPING * mean + 1e-12)[:, None, None] * eye)
    upper = torch.linalg.cholesky(inverse, upper=True)
    result = torch.zeros_like(rows)
    for i in range(rows.shape[2]):
        value = rows[:, :, i]
        whole = (value / scale).round().clamp(-127, 127)
        whole = torch.where(largest[:, :, 0] == i, 127 * value.sign(), whole)
        result[:, :, i] = whole * scale
        error = (value - result[:, :, i]) / upper[:, i, i, None]
        rows[:, :, i + 1 :] -= error[:, :, None] * upper[:, None, i, i + 1 :]
    return result.reshape(weight.shape).float()
