"""Batch-norm, ReLU and 2×2 mean pooling in one go on the CPU: the part of LeNet5 that torch spends most of its time in.

torch runs three operations, each reading and writing the whole activation; on planes of 28×28 pixels they cost more than
the convolutions between them. Here an activation is read twice forward (moments; then normalise, cut and pool) and twice
backward, in float32 with sums kept in float64. `benchmarks/networks.py lenet5` shows what it gains.
"""

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NormReluPool(nn.BatchNorm2d):
    """`AvgPool2d(2)(ReLU(BatchNorm2d(x)))` with the parameters and buffers of `BatchNorm2d` (Ioffe & Szegedy 2015).

    x (B, C, H, W) gives (B, C, H // 2, W // 2). On other devices than the CPU, or where H or W is odd, torch computes it.
    """

    # always there: None stands for settings of batch-norm that are not used here
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or x.shape[2] % 2 or x.shape[3] % 2:
            return F.avg_pool2d(F.relu(super().forward(x)), 2)
        planes = x.detach().float().contiguous().numpy()
        if self.training:
            mean, variance = moments(planes)
            with torch.no_grad():
                unbiased = planes.size / planes.shape[1] / (planes.size / planes.shape[1] - 1)
                self.running_mean.lerp_(torch.from_numpy(mean).float(), self.momentum)
                self.running_var.lerp_(torch.from_numpy(variance * unbiased).float(), self.momentum)
                self.num_batches_tracked += 1
        else:
            mean, variance = self.running_mean.double().numpy(), self.running_var.double().numpy()
        return FusedPass.apply(x, self.weight, self.bias, planes, mean, 1 / np.sqrt(variance + self.eps), self.training)


class FusedPass(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, planes, mean, inverse, training):
        scale = weight.detach().double().numpy() * inverse
        shift = bias.detach().double().numpy() - scale * mean
        ctx.kept = planes, scale, shift, mean, inverse
        ctx.training, ctx.dtype = training, x.dtype
        return torch.from_numpy(normalise_relu_pool(planes, scale.astype(np.float32), shift.astype(np.float32)))

    @staticmethod
    def backward(ctx, gradient):
        if not ctx.training:
            raise RuntimeError("NormReluPool has no gradient in eval mode")
        planes, scale, shift, mean, inverse = ctx.kept
        to_x, to_weight, to_bias = backward(planes, gradient.float().contiguous().numpy(), scale, shift, mean, inverse)
        return (
            torch.from_numpy(to_x).to(ctx.dtype),
            torch.from_numpy(to_weight).float(),
            torch.from_numpy(to_bias).float(),
            None,
            None,
            None,
            None,
        )


@numba.njit(nogil=True, fastmath=True, cache=True)
def moments(x):
    """Mean and (biased) variance of each channel of x (B, C, H, W), float64 (C,).

    Sums are of differences to the first pixel of the channel: squares of values far from zero would drown the variance.
    """
    images, channels, height, width = x.shape
    flat = x.reshape(images, channels, height * width)
    total, squares = np.zeros(channels), np.zeros(channels)
    for b in range(images):
        for c in range(channels):
            plane, first = flat[b, c], flat[0, c, 0]
            s, q = np.float32(0), np.float32(0)
            for i in range(plane.size):
                difference = plane[i] - first
                s += difference
                q += difference * difference
            total[c] += s
            squares[c] += q
    count = images * height * width
    offset = total / count
    return flat[0, :, 0] + offset, np.maximum(squares / count - offset * offset, 0)


@numba.njit(nogil=True, fastmath=True, cache=True)
def normalise_relu_pool(x, scale, shift):
    """Mean over 2×2 pixels of max(scale · x + shift, 0), for x (B, C, H, W) with even H and W."""
    images, channels, height, width = x.shape
    pooled = np.empty((images, channels, height // 2, width // 2), np.float32)
    pairs = np.empty(width, np.float32)  # a row and the one below it, added: leaves one short loop across columns
    zero, quarter = np.float32(0), np.float32(0.25)
    for b in range(images):
        for c in range(channels):
            a, d = scale[c], shift[c]
            for i in range(height // 2):
                upper, lower, out = x[b, c, 2 * i], x[b, c, 2 * i + 1], pooled[b, c, i]
                for j in range(width):
                    pairs[j] = max(a * upper[j] + d, zero) + max(a * lower[j] + d, zero)
                for j in range(width // 2):
                    out[j] = quarter * (pairs[2 * j] + pairs[2 * j + 1])
    return pooled


@numba.njit(nogil=True, fastmath=True, cache=True)
def backward(x, gradient, scale, shift, mean, inverse):
    """Gradients to x, weight and bias, from the gradient to the pooled output (B, C, H / 2, W / 2)."""
    images, channels, height, width = x.shape
    pixels = height * width
    flat = x.reshape(images, channels, pixels)
    to_x = np.empty((images, channels, pixels), np.float32)
    to_bias, to_weight = np.zeros(channels), np.zeros(channels)
    zero, quarter = np.float32(0), np.float32(0.25)
    for b in range(images):
        for c in range(channels):
            plane, out, a, d = flat[b, c], to_x[b, c], np.float32(scale[c]), np.float32(shift[c])
            for i in range(height // 2):  # undo the pooling: each gradient goes to four pixels
                upper, lower = 2 * i * width, (2 * i + 1) * width
                for j in range(width // 2):
                    share = quarter * gradient[b, c, i, j]
                    out[upper + 2 * j] = share
                    out[upper + 2 * j + 1] = share
                for j in range(width):
                    out[lower + j] = out[upper + j]
            s, q = zero, zero
            for i in range(pixels):  # undo the ReLU, and sum on the way
                share = out[i] if a * plane[i] + d > zero else zero
                out[i] = share
                s += share
                q += share * plane[i]
            to_bias[c] += s
            to_weight[c] += q
    count = images * pixels
    for c in range(channels):
        to_weight[c] = (to_weight[c] - mean[c] * to_bias[c]) * inverse[c]
    for b in range(images):
        for c in range(channels):
            plane, out, a = flat[b, c], to_x[b, c], np.float32(scale[c])
            slope = np.float32(-scale[c] * inverse[c] * to_weight[c] / count)
            offset = np.float32(-scale[c] * to_bias[c] / count + scale[c] * inverse[c] * to_weight[c] / count * mean[c])
            for i in range(pixels):
                out[i] = a * out[i] + slope * plane[i] + offset
    return to_x.reshape(images, channels, height, width), to_weight, to_bias
