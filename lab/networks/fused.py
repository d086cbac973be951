"""Batch-norm, ReLU and 2×2 mean pooling in one go on the CPU: the part of LeNet5 that torch spends most of its time in.

torch runs three operations, each reading and writing the whole activation; on planes of 28×28 pixels they cost more than
the convolutions between them. Here an activation is read twice forward (moments; then normalise, cut and pool) and twice
backward, in float32 with sums kept in float64, images beside each other in memory as in `lab.networks.convolution`.
`benchmarks/networks.py lenet5` shows what it gains.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lab.networks.convolution import ARRAY, batch_first, batch_last, compiled


class NormReluPool(nn.BatchNorm2d):
    """`AvgPool2d(2)(ReLU(BatchNorm2d(x)))` with the parameters and buffers of `BatchNorm2d` (Ioffe & Szegedy 2015).

    x (B, C, H, W) gives (B, C, H // 2, W // 2), in memory as (C, H // 2, W // 2, B); x is not copied if it lies so. On
    other devices than the CPU, or where H or W is odd, torch computes it.
    """

    # always there: None stands for settings of batch-norm that are not used here
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        fits = x.dim() == 4 and x.shape[1] == self.num_features and len(x)
        if x.device.type != "cpu" or not fits or x.shape[2] % 2 or x.shape[3] % 2:  # torch tells what is wrong with it
            return F.avg_pool2d(F.relu(super().forward(x)), 2)
        planes = batch_last(x)
        if self.training:
            mean, variance = moments(planes)
            with torch.no_grad():
                values = planes.size / len(planes)
                self.running_mean.lerp_(torch.from_numpy(mean).float(), self.momentum)
                self.running_var.lerp_(torch.from_numpy(variance * (values / (values - 1))).float(), self.momentum)
                self.num_batches_tracked += 1
        else:
            mean, variance = self.running_mean.double().numpy(), self.running_var.double().numpy()
        return FusedPass.apply(x, self.weight, self.bias, planes, mean, 1 / np.sqrt(variance + self.eps), self.training)


class FusedPass(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, planes, mean, inverse, training):
        scale = weight.detach().double().numpy() * inverse
        shift = bias.detach().double().numpy() - scale * mean
        ctx.save_for_backward(x, weight, bias)  # as in `lab.networks.convolution`
        ctx.kept = planes, scale, shift, mean, inverse
        ctx.training, ctx.dtype = training, x.dtype
        return batch_first(normalise_relu_pool(planes, scale.astype(np.float32), shift.astype(np.float32)))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        if not ctx.training:
            raise RuntimeError("NormReluPool has no gradient in eval mode")
        ctx.saved_tensors  # noqa: B018
        to_x, *to_norm = backward(ctx.kept[0], batch_last(gradient), *ctx.kept[1:])
        to_weight, to_bias = (torch.from_numpy(each).float() for each in to_norm)
        return batch_first(to_x).to(ctx.dtype), to_weight, to_bias, None, None, None, None


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
            s, q = np.float32(0), np.float32(0)
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
    zero, quarter = np.float32(0), np.float32(0.25)
    for c in range(channels):
        a, d = scale[c], shift[c]
        for i in range(0, height, 2):
            for j in range(0, width, 2):
                x0, x1, x2, x3 = x[c, i, j], x[c, i, j + 1], x[c, i + 1, j], x[c, i + 1, j + 1]
                out = pooled[c, i // 2, j // 2]
                for b in range(images):
                    upper = max(a * x0[b] + d, zero) + max(a * x1[b] + d, zero)
                    lower = max(a * x2[b] + d, zero) + max(a * x3[b] + d, zero)
                    out[b] = quarter * (upper + lower)
    return pooled


@compiled(f"Tuple(({ARRAY}, float64[::1], float64[::1]))({ARRAY}, {ARRAY}{', float64[::1]' * 4})")
def backward(x, gradient, scale, shift, mean, inverse):
    """Gradients to x, weight and bias, from the gradient to the pooled output (C, H / 2, W / 2, B)."""
    channels, height, width, images = x.shape
    to_x = np.empty(x.shape, np.float32)
    to_bias, to_weight = np.zeros(channels), np.zeros(channels)
    count = height * width * images
    zero, quarter = np.float32(0), np.float32(0.25)
    for c in range(channels):
        a, d = np.float32(scale[c]), np.float32(shift[c])
        for i in range(height):
            s, q = zero, zero
            for j in range(width):
                pixel, share = x[c, i, j], gradient[c, i // 2, j // 2]
                for b in range(images):  # undo the pooling and the ReLU
                    passed = quarter * share[b] if a * pixel[b] + d > zero else zero
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
                    passed = quarter * share[b] if a * pixel[b] + d > zero else zero
                    out[b] = a * passed + slope * pixel[b] + offset
    return to_x, to_weight, to_bias
