"""What a job computes, by numpy: operands from a seed, and the outputs they give."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.cycles.job import C, G, Job, K, N, P, Q, R, S

Int8s = npt.NDArray[np.int8]


def operands(job: Job, rng: np.random.Generator) -> tuple[Int8s, Int8s]:
    """Draw weights ``(R, S, C, G, K)`` and inputs ``(N, rows, columns, G, C)``."""
    b, r = job.bounds, job.registers
    shapes = (
        (b[R], b[S], b[C], b[G], b[K]),
        (b[N], r.inputs_y, r.inputs_x, b[G], b[C]),
    )
    weights, inputs = (rng.integers(-128, 128, shape, dtype=np.int8) for shape in shapes)
    return weights, inputs


def outputs(job: Job, weights: Int8s, inputs: Int8s) -> npt.NDArray[np.int8 | np.int32]:
    """Return the outputs ``(N, Q, P, G, K)``: int32, or cut to int8 where a job's are bytes."""
    b, r = job.bounds, job.registers
    around = ((0, 0), (r.padding_y, r.padding_y), (r.padding_x, r.padding_x), (0, 0), (0, 0))
    padded = np.pad(inputs, around).astype(np.int32)
    sums = np.zeros((b[N], b[Q], b[P], b[G], b[K]), np.int32)
    for s in range(b[S]):
        y = s * r.dilation_y
        rows = padded[:, y : y + (b[Q] - 1) * r.stride_y + 1 : r.stride_y]
        for k in range(b[R]):
            x = k * r.dilation_x
            part = rows[:, :, x : x + (b[P] - 1) * r.stride_x + 1 : r.stride_x]
            # by groups: (G, N*Q*P, C) times (G, C, K); wraps around as the hardware does
            left = part.transpose(3, 0, 1, 2, 4).reshape(b[G], -1, b[C])
            right = weights[k, s].transpose(1, 0, 2).astype(np.int32)
            product = (left @ right).reshape(b[G], b[N], b[Q], b[P], b[K])
            sums += product.transpose(1, 2, 3, 0, 4)
    return sums if r.output_bytes == 4 else np.clip(sums, -128, 127).astype(np.int8)
