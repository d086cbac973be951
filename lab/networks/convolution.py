"""5×5 convolutions of few channels on the CPU, with the images of a batch beside each other in memory.

torch fills vectors with channels, and LeNet5 has 3, 6 and 16 of them. Here activations lie as (C, H, W, B): a row of an
output is then a sum of whole rows of the input, each shifted by a multiple of B, in loops of thousands of steps without a
gap. `benchmarks/networks.py lenet5` shows what it gains. float32, also under autocast.
"""

from functools import partial

import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ARRAY = "float32[:, :, :, ::1]"
# compiled, or loaded from its cache, on import: networks are trained in processes forked from one that has imported this
compiled = partial(numba.njit, nogil=True, fastmath=True, cache=True)
TAPS = 5
TILE = 4096  # values of a row at a time, 16 kB, so that they stay in the nearest cache


class Conv5x5(nn.Conv2d):
    """`Conv2d(channels, outputs, 5)` with its parameters, torch's own on other devices than the CPU.

    x (B, C, H, W) gives (B, outputs, H - 4, W - 4), in memory as (outputs, H - 4, W - 4, B); x is not copied if it lies so.
    """

    bias: Tensor

    def __init__(self, channels: int, outputs: int):
        super().__init__(channels, outputs, TAPS)

    def forward(self, x: Tensor) -> Tensor:
        fits = x.dim() == 4 and x.shape[1] == self.in_channels and min(x.shape[2:]) >= TAPS
        if x.device.type != "cpu" or not fits:  # torch tells what is wrong with it
            return super().forward(x)
        return Convolution.apply(x, self.weight, self.bias)


class Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)  # so that torch notices when they change before the backward pass
        ctx.x, ctx.weight, ctx.dtype = batch_last(x), array(weight), x.dtype
        return batch_first(convolve(ctx.x, ctx.weight, array(bias), 0))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        ctx.saved_tensors  # noqa: B018  # an error where they have changed
        gradient = batch_last(gradient)
        to_x = None
        if ctx.needs_input_grad[0]:
            turned = np.ascontiguousarray(ctx.weight.swapaxes(0, 1)[:, :, ::-1, ::-1])
            margin = TAPS - 1
            wide = np.pad(gradient, ((0, 0), (0, 0), (margin, margin), (0, 0)))
            to_x = batch_first(convolve(wide, turned, np.zeros(len(turned), np.float32), margin)).to(ctx.dtype)
        to_weight = torch.from_numpy(weight_gradient(ctx.x, gradient))
        return to_x, to_weight, torch.from_numpy(gradient).sum((1, 2, 3))


def array(parameter: Tensor) -> np.ndarray:
    return parameter.detach().float().contiguous().numpy()


def batch_last(x: Tensor) -> np.ndarray:
    """x (B, C, H, W) of any memory layout as a contiguous float32 array (C, H, W, B); not copied if it lies so."""
    x = x.detach().float()
    if not x.permute(1, 2, 3, 0).is_contiguous():
        pixels = x.permute(0, 2, 3, 1)  # in one piece for images as `lab.batches` has them
        # one transposed matrix: torch is slow at moving four axes at once
        x = pixels.reshape(len(x), -1).t().contiguous().view(*pixels.shape[1:], len(x)).permute(3, 2, 0, 1)
    return x.permute(1, 2, 3, 0).contiguous().numpy()


def batch_first(x: np.ndarray) -> Tensor:
    """The array (C, H, W, B) as a tensor (B, C, H, W) of the same memory."""
    return torch.from_numpy(x).permute(3, 0, 1, 2)


@compiled(f"{ARRAY}({ARRAY}, {ARRAY}, float32[::1], int64)")
def convolve(x, weight, bias, margin):
    """The convolution of x (C, H, W, B) with weight (O, C, 5, 5) and so many rows of zeros above and below, plus bias (O,).

    Returns (O, H + 2 · margin - 4, W - 4, B). Two outputs at a time, which share what is read of x.
    """
    channels, height, width, images = x.shape
    outputs, rows, length = len(weight), height + 2 * margin - 4, (width - 4) * images
    result = np.empty((outputs, rows, width - 4, images), np.float32)
    flat, out = x.reshape(channels, height, width * images), result.reshape(outputs, rows, length)
    spare = np.empty(length, np.float32)  # where there is no second output
    for y in range(rows):
        for begin in range(0, length, TILE):
            end = min(begin + TILE, length)
            for o in range(0, outputs, 2):
                other = min(o + 1, outputs - 1)
                first = out[o, y, begin:end]
                second = out[other, y, begin:end] if other > o else spare[begin:end]
                first[:], second[:] = bias[o], bias[other]
                for c in range(channels):
                    for k in range(max(0, margin - y), min(5, height + margin - y)):
                        row = flat[c, y + k - margin, begin:]
                        # slices, and not sums in the index, or the compiler does not see vectors
                        x0, x1, x2, x3, x4 = row, row[images:], row[2 * images :], row[3 * images :], row[4 * images :]
                        a0, a1, a2, a3, a4 = weight[o, c, k, 0], weight[o, c, k, 1], weight[o, c, k, 2], weight[o, c, k, 3], weight[o, c, k, 4]  # fmt: skip
                        b0, b1, b2, b3, b4 = weight[other, c, k, 0], weight[other, c, k, 1], weight[other, c, k, 2], weight[other, c, k, 3], weight[other, c, k, 4]  # fmt: skip
                        for i in range(end - begin):
                            s0, s1, s2, s3, s4 = x0[i], x1[i], x2[i], x3[i], x4[i]
                            u = first[i] + a0 * s0 + a1 * s1 + a2 * s2 + a3 * s3 + a4 * s4
                            v = second[i] + b0 * s0 + b1 * s1 + b2 * s2 + b3 * s3 + b4 * s4
                            first[i], second[i] = u, v
    return result


@compiled(f"{ARRAY}({ARRAY}, {ARRAY})")
def weight_gradient(x, gradient):
    """The gradient to weight, (O, C, 5, 5), from x (C, H, W, B) and the gradient to the output (O, H - 4, W - 4, B)."""
    channels, height, width, images = x.shape
    outputs, rows, length = len(gradient), height - 4, (width - 4) * images
    result = np.zeros((outputs, channels, 5, 5), np.float32)
    flat, out = x.reshape(channels, height, width * images), gradient.reshape(outputs, rows, length)
    zero = np.float32(0)
    for y in range(rows):
        for begin in range(0, length, TILE):
            end = min(begin + TILE, length)
            for o in range(0, outputs, 2):
                other = min(o + 1, outputs - 1)
                first, second = out[o, y, begin:end], out[other, y, begin:end]
                for c in range(channels):
                    for k in range(5):
                        row = flat[c, y + k, begin:]
                        # slices, and not sums in the index, or the compiler does not see a vector
                        x0, x1, x2, x3, x4 = row, row[images:], row[2 * images :], row[3 * images :], row[4 * images :]
                        a0, a1, a2, a3, a4 = zero, zero, zero, zero, zero
                        b0, b1, b2, b3, b4 = zero, zero, zero, zero, zero
                        for i in range(end - begin):
                            u, v = first[i], second[i]
                            a0, a1, a2, a3, a4 = a0 + u * x0[i], a1 + u * x1[i], a2 + u * x2[i], a3 + u * x3[i], a4 + u * x4[i]  # fmt: skip
                            b0, b1, b2, b3, b4 = b0 + v * x0[i], b1 + v * x1[i], b2 + v * x2[i], b3 + v * x3[i], b4 + v * x4[i]  # fmt: skip
                        for j, value in enumerate((a0, a1, a2, a3, a4)):
                            result[o, c, k, j] += value
                        if other > o:
                            for j, value in enumerate((b0, b1, b2, b3, b4)):
                                result[other, c, k, j] += value
    return result
