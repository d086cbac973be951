"""LeNet5 (LeCun et al. 1998) with batch-norm and ReLU, as the paper trains it, and its compiled loops for the CPU.

torch fills vectors with channels, and LeNet5 has 3, 6 and 16 of them. Here the images of a batch lie beside each other in
memory, activations as (C, H, W, B): a row of a convolution's output is a sum of whole rows of its input, each shifted by a
multiple of B, in loops of thousands of steps without a gap. Batch-norm, ReLU and pooling, which torch computes in three
operations that each read and write the whole activation, take two passes over it forward and two backward. All in
float32, also under autocast, with the sums of batch-norm kept in float64. `benchmarks/networks.py lenet5` shows what it gains.
"""

from functools import partial

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lab.errors import UserError

ARRAY = "float32[:, :, :, ::1]"
# compiled, or loaded from its cache, on import: networks are trained in processes forked from one that has imported this
compiled = partial(numba.njit, nogil=True, fastmath=True, cache=True)
TILE = 4096  # values of a row at a time, 16 kB, so that they stay in the nearest cache
ZERO, QUARTER = np.float32(0), np.float32(0.25)


def lenet5(channels: int, classes: int, size: int) -> nn.Module:
    """LeNet5 for images of 32 pixels or more."""
    side = ((size - 4) // 2 - 4) // 2 - 4
    if side < 1:
        raise UserError(f"lenet5 needs images of at least 32 pixels, these have {size}: give a larger resize= or crop=")
    # on 5×5 pixels the third convolution is a linear layer, which torch multiplies faster
    third = (
        [nn.Flatten(), nn.Linear(400, 120), nn.BatchNorm1d(120)]
        if side == 1
        else [nn.Conv2d(16, 120, 5), nn.BatchNorm2d(120)]
    )
    return nn.Sequential(
        Stage(channels, 6), Stage(6, 16),
        *third, nn.ReLU(), nn.Flatten(),
        nn.Linear(120 * side * side, 84), nn.ReLU(), nn.Linear(84, classes),
    )  # fmt: skip


class Stage(nn.Module):
    """`AvgPool2d(2)(ReLU(BatchNorm2d(Conv2d(channels, outputs, 5))))`, in compiled loops on the CPU.

    x (B, C, H, W) gives (B, outputs, (H - 4) // 2, (W - 4) // 2), which lies in memory as (outputs, ..., B); x is not copied
    if it lies so. torch computes it on other devices than the CPU, where H or W is odd, and for gradients in eval mode.
    """

    def __init__(self, channels: int, outputs: int):
        super().__init__()
        # the convolution's weights as a matrix, which lies in memory as the loops need it whatever layout a network is given
        self.taps = nn.Linear(channels * 25, outputs)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias, norm = self.taps.weight.unflatten(1, (-1, 5, 5)), self.taps.bias, self.norm
        fits = x.dim() == 4 and len(x) and x.shape[1] == weight.shape[1] and min(x.shape[2:]) > 5
        known = x.device.type == "cpu" and (norm.training or not torch.is_grad_enabled())
        if not known or not fits or x.shape[2] % 2 or x.shape[3] % 2:  # torch tells what is wrong with it
            return F.avg_pool2d(F.relu(norm(F.conv2d(x, weight, bias))), 2)
        return CompiledStage.apply(x, weight, bias, norm.weight, norm.bias, norm)


class CompiledStage(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, norm_weight, norm_bias, norm):
        # so that torch notices when they change before the backward pass
        ctx.save_for_backward(x, weight, norm_weight, norm_bias)
        planes, kernel = batch_last(x), array(weight)
        convolved = convolve(planes, kernel, array(bias), 0)
        if norm.training:
            mean, variance = moments(convolved)
            values = convolved.size / len(convolved)  # of each channel
            for running, new in ((norm.running_mean, mean), (norm.running_var, variance * (values / (values - 1)))):
                running.lerp_(torch.from_numpy(new).to(running), norm.momentum)
            norm.num_batches_tracked += 1
        else:
            mean, variance = norm.running_mean.double().numpy(), norm.running_var.double().numpy()
        inverse = 1 / np.sqrt(variance + norm.eps)
        scale = norm_weight.detach().double().numpy() * inverse
        shift = norm_bias.detach().double().numpy() - scale * mean
        ctx.kept = planes, kernel, convolved, scale, shift, mean, inverse
        ctx.dtype = x.dtype
        return batch_first(normalise_relu_pool(convolved, scale.astype(np.float32), shift.astype(np.float32)))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        ctx.saved_tensors  # noqa: B018  # an error where they have changed
        planes, kernel, convolved, *of_norm = ctx.kept
        to_convolved, *to_norm = norm_gradients(convolved, batch_last(gradient), *of_norm)
        to_x = None
        if ctx.needs_input_grad[0]:
            turned = np.ascontiguousarray(kernel.swapaxes(0, 1)[:, :, ::-1, ::-1])
            wide = np.pad(to_convolved, ((0, 0), (0, 0), (4, 4), (0, 0)))
            to_x = batch_first(convolve(wide, turned, np.zeros(len(turned), np.float32), 4)).to(ctx.dtype)
        to_weight = torch.from_numpy(weight_gradient(planes, to_convolved))
        to_bias = torch.from_numpy(to_convolved).sum((1, 2, 3))
        return to_x, to_weight, to_bias, *(torch.from_numpy(each).float() for each in to_norm), None


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
                        a0, a1, a2, a3, a4 = ZERO, ZERO, ZERO, ZERO, ZERO
                        b0, b1, b2, b3, b4 = ZERO, ZERO, ZERO, ZERO, ZERO
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


@compiled(f"Tuple((float64[::1], float64[::1]))({ARRAY})")
def moments(x):
    """Mean and (biased) variance of each channel of x (C, H, W, B), float64 (C,).

    Sums are of differences to the first pixel of the channel: squares of values far from zero would drown the variance.
    """
    channels, height, width, images = x.shape
    rows = x.reshape(channels, height, width * images)
    total, squares = np.zeros(channels), np.zeros(channels)
    for c in range(channels):
        first = rows[c, 0, 0]
        for i in range(height):
            row = rows[c, i]
            s, q = ZERO, ZERO
            for j in range(row.size):
                difference = row[j] - first
                s += difference
                q += difference * difference
            total[c] += s
            squares[c] += q
    count = height * width * images
    offset = total / count
    return rows[:, 0, 0] + offset, np.maximum(squares / count - offset * offset, 0)


@compiled(f"{ARRAY}({ARRAY}, float32[::1], float32[::1])")
def normalise_relu_pool(x, scale, shift):
    """Mean over 2×2 pixels of max(scale · x + shift, 0), for x (C, H, W, B) with even H and W."""
    channels, height, width, images = x.shape
    pooled = np.empty((channels, height // 2, width // 2, images), np.float32)
    for c in range(channels):
        a, d = scale[c], shift[c]
        for i in range(0, height, 2):
            for j in range(0, width, 2):
                x0, x1, x2, x3 = x[c, i, j], x[c, i, j + 1], x[c, i + 1, j], x[c, i + 1, j + 1]
                out = pooled[c, i // 2, j // 2]
                for b in range(images):
                    upper = max(a * x0[b] + d, ZERO) + max(a * x1[b] + d, ZERO)
                    lower = max(a * x2[b] + d, ZERO) + max(a * x3[b] + d, ZERO)
                    out[b] = QUARTER * (upper + lower)
    return pooled


@compiled(f"Tuple(({ARRAY}, float64[::1], float64[::1]))({ARRAY}, {ARRAY}{', float64[::1]' * 4})")
def norm_gradients(x, gradient, scale, shift, mean, inverse):
    """Gradients to x and to batch-norm's weight and bias, from that to the pooled output (C, H / 2, W / 2, B)."""
    channels, height, width, images = x.shape
    to_x = np.empty(x.shape, np.float32)
    to_bias, to_weight = np.zeros(channels), np.zeros(channels)
    count = height * width * images
    for c in range(channels):
        a, d = np.float32(scale[c]), np.float32(shift[c])
        for i in range(height):
            s, q = ZERO, ZERO
            for j in range(width):
                pixel, share = x[c, i, j], gradient[c, i // 2, j // 2]
                for b in range(images):  # undo the pooling and the ReLU
                    passed = QUARTER * share[b] if a * pixel[b] + d > ZERO else ZERO
                    s += passed
                    q += passed * pixel[b]
            to_bias[c] += s
            to_weight[c] += q
        to_weight[c] = (to_weight[c] - mean[c] * to_bias[c]) * inverse[c]
        slope = -scale[c] * inverse[c] * to_weight[c] / count
        offset = np.float32(-scale[c] * to_bias[c] / count - slope * mean[c])
        slope = np.float32(slope)
        for i in range(height):
            for j in range(width):
                pixel, share, out = x[c, i, j], gradient[c, i // 2, j // 2], to_x[c, i, j]
                for b in range(images):
                    passed = QUARTER * share[b] if a * pixel[b] + d > ZERO else ZERO
                    out[b] = a * passed + slope * pixel[b] + offset
    return to_x, to_weight, to_bias
