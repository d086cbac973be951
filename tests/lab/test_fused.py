"""NormReluPool against the three modules of torch that it stands for."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lab.networks.fused import NormReluPool


def pair(channels: int, seed: int = 0) -> tuple[NormReluPool, nn.BatchNorm2d]:
    """The module and torch's batch-norm, with the same weights, biases (some negative) and running statistics."""
    draw = torch.Generator().manual_seed(seed)
    fused, norm = NormReluPool(channels), nn.BatchNorm2d(channels)
    with torch.no_grad():
        fused.weight.copy_(torch.randn(channels, generator=draw))
        fused.bias.copy_(torch.randn(channels, generator=draw))
        fused.running_mean.copy_(torch.randn(channels, generator=draw))
        fused.running_var.copy_(torch.rand(channels, generator=draw) + 0.5)
    norm.load_state_dict(fused.state_dict())
    return fused, norm


def plain(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(torch.relu(norm(x)), 2)


def random(shape: tuple[int, ...], seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_equal_steps(fused: NormReluPool, norm: nn.BatchNorm2d, x: Tensor, atol: float = 2e-5) -> None:
    """Output, running statistics and all three gradients of a training step, against torch's in float64."""
    reference = norm.double()
    ours, theirs = x.clone().requires_grad_(), x.double().requires_grad_()
    output, expected = fused(ours), plain(reference, theirs)
    torch.testing.assert_close(output, expected.float(), rtol=1e-4, atol=atol)
    torch.testing.assert_close(fused.running_mean, reference.running_mean.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fused.running_var, reference.running_var.float(), rtol=1e-4, atol=1e-5)
    gradient = random(tuple(output.shape), seed=7)
    output.backward(gradient)
    expected.backward(gradient.double())
    scale = float(theirs.grad.abs().max()) + 1e-6
    torch.testing.assert_close(ours.grad, theirs.grad.float(), rtol=1e-3, atol=10 * atol * max(scale, 1))
    size = x.numel() / x.shape[1]
    torch.testing.assert_close(fused.weight.grad, reference.weight.grad.float(), rtol=1e-3, atol=atol * size**0.5)
    torch.testing.assert_close(fused.bias.grad, reference.bias.grad.float(), rtol=1e-3, atol=atol * size**0.5)


@pytest.mark.parametrize("shape", [(128, 6, 28, 28), (128, 16, 10, 10), (2, 3, 2, 2), (1, 1, 2, 4), (5, 2, 6, 14)])
def test_a_training_step_equals_torchs(shape):
    fused, norm = pair(shape[1])
    assert_equal_steps(fused, norm, 3 * random(shape) + 1)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
    st.integers(0, 1000),
    st.sampled_from([0.0, 1.0, -3.0]),
    st.sampled_from([0.01, 1.0, 10.0]),
)
def test_any_shape_and_scale(shape, seed, offset, spread):
    images, channels, rows, columns = shape
    fused, norm = pair(channels, seed)
    x = spread * random((images, channels, 2 * rows, 2 * columns), seed) + offset
    # a value that rounding may put on either side of zero has either gradient
    assume(float(copy.deepcopy(norm).double()(x.double()).detach().abs().min()) > 2e-4)
    assert_equal_steps(fused, norm, x, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.0, -7.3, 1000.0])
def test_a_constant_channel(value):
    """No variance: the output is the bias, cut and pooled; eps keeps everything finite."""
    fused, norm = pair(3)
    x = random((4, 3, 8, 8))
    x[:, 1] = value
    output = fused(x)
    torch.testing.assert_close(output[:, 1], fused.bias[1].clamp(min=0).expand(4, 4, 4), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(output, plain(norm, x), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(fused.running_var, norm.running_var, rtol=1e-4, atol=1e-5)
    output.square().sum().backward()
    assert torch.isfinite(fused.weight.grad).all()


def test_a_mean_far_from_zero_keeps_the_variance():
    """Sums of squares alone would lose it: 1000 squared leaves no digits of float32 for 0.01 squared."""
    fused, norm = pair(2)
    x = 1000 + 0.5 * random((16, 2, 16, 16))
    fused(x)
    plain(norm, x)
    torch.testing.assert_close(fused.running_var, norm.running_var, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(fused.running_mean, norm.running_mean, rtol=1e-6, atol=1e-6)


def test_running_statistics_after_several_steps_and_eval_mode():
    fused, norm = pair(6)
    for step in range(5):
        x = (step + 1) * random((8, 6, 12, 12), seed=step)
        fused(x)
        plain(norm, x)
    assert fused.num_batches_tracked == norm.num_batches_tracked == 5
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(fused.state_dict()[name], value, rtol=1e-5, atol=1e-6)
    fused.eval()
    norm.eval()
    before = {name: value.clone() for name, value in fused.state_dict().items()}
    with torch.no_grad():
        torch.testing.assert_close(fused(x), plain(norm, x), rtol=1e-5, atol=1e-5)
    for name, value in fused.state_dict().items():
        assert torch.equal(value, before[name])


def test_eval_mode_has_no_gradient_and_says_so():
    fused = NormReluPool(2).eval()
    with pytest.raises(RuntimeError, match="no gradient in eval mode"):
        fused(random((2, 2, 4, 4)).requires_grad_()).sum().backward()


def test_inference_mode():
    fused, norm = pair(2)
    fused.eval()
    norm.eval()
    x = random((2, 2, 4, 4))
    with torch.inference_mode():
        torch.testing.assert_close(fused(x), plain(norm, x), rtol=1e-5, atol=1e-5)


def test_bf16_input_is_computed_in_float32():
    """As under autocast, where the convolution before gives bf16."""
    fused, norm = pair(6)
    x = random((16, 6, 8, 8)).bfloat16()
    ours, theirs = x.clone().requires_grad_(), x.float().requires_grad_()
    output, expected = fused(ours), plain(norm, theirs)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    output.square().sum().backward()
    expected.square().sum().backward()
    assert ours.grad.dtype == torch.bfloat16
    torch.testing.assert_close(ours.grad.float(), theirs.grad, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(fused.weight.grad, norm.weight.grad, rtol=1e-3, atol=1e-3)
    assert fused.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("size", [(7, 8), (8, 7), (5, 5), (3, 2)])
def test_odd_sizes_are_torchs_own(size):
    fused, norm = pair(3)
    x = random((4, 3, *size))
    output = fused(x)
    assert output.shape == (4, 3, size[0] // 2, size[1] // 2)
    assert torch.equal(output, plain(norm, x))
    assert torch.equal(fused.running_var, norm.running_var)


@pytest.mark.parametrize("arrange", [lambda x: x.contiguous(memory_format=torch.channels_last), lambda x: x.mT])
def test_any_memory_layout(arrange):
    fused, norm = pair(4)
    x = arrange(random((3, 4, 6, 6)))
    torch.testing.assert_close(fused(x), plain(norm, x), rtol=1e-4, atol=1e-5)


def test_the_input_is_left_as_it_is():
    fused, _ = pair(2)
    x = random((3, 2, 4, 4)).requires_grad_()
    before = x.detach().clone()
    fused(x).sum().backward()
    assert torch.equal(x, before)


def test_state_dicts_are_interchangeable():
    fused, norm = pair(5)
    assert list(fused.state_dict()) == list(norm.state_dict())
    other = nn.BatchNorm2d(5)
    other.load_state_dict(fused.state_dict())
    NormReluPool(5).load_state_dict(norm.state_dict())
    x = random((2, 5, 4, 4))
    torch.testing.assert_close(fused(x), plain(other, x), rtol=1e-4, atol=1e-5)


def test_gradients_by_finite_differences():
    """Independent of torch's own formulas: the loss moves as the gradient says."""
    fused, _ = pair(2)
    x = random((3, 2, 4, 4))
    weighting = random((3, 2, 2, 2), seed=3)
    leaf = x.clone().requires_grad_()
    (fused(leaf) * weighting).sum().backward()

    def loss(x: Tensor) -> float:
        scale, shift = fused.weight.detach().double().numpy(), fused.bias.detach().double().numpy()
        y = x.double().numpy()
        mean, variance = y.mean((0, 2, 3), keepdims=True), y.var((0, 2, 3), keepdims=True)
        y = np.maximum((y - mean) / np.sqrt(variance + 1e-5) * scale[:, None, None] + shift[:, None, None], 0)
        pooled = y.reshape(3, 2, 2, 2, 2, 2).mean((3, 5))
        return float((pooled * weighting.double().numpy()).sum())

    for place in [(0, 0, 0, 0), (1, 1, 2, 3), (2, 0, 3, 1)]:
        step = torch.zeros_like(x)
        step[place] = 1e-3
        slope = (loss(x + step) - loss(x - step)) / 2e-3
        assert float(leaf.grad[place]) == pytest.approx(slope, abs=2e-3)


def test_what_does_not_fit_is_torchs_error_and_never_read_beside_an_array():
    fused, _ = pair(2)
    for x in (random((3, 6, 8, 8)), random((3, 1, 8, 8)), random((3, 2, 8))):
        with pytest.raises((RuntimeError, ValueError)):
            fused(x)
        with pytest.raises((RuntimeError, ValueError)):
            fused.eval()(x)
        fused.train()


def test_what_changes_before_the_backward_pass_is_an_error():
    fused, _ = pair(3)
    output = fused(random((4, 3, 4, 4)))
    with torch.no_grad():
        fused.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()
