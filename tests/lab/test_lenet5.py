"""LeNet5's stages in compiled loops against the four modules of torch that each stands for."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lab.networks import build_network
from lab.networks.lenet5 import Stage, batch_first, batch_last, convolve, weight_gradient


def pair(channels: int, outputs: int, seed: int = 0) -> tuple[Stage, nn.Sequential]:
    """The stage and torch's modules, with the same weights, biases (some negative) and running statistics."""
    draw = torch.Generator().manual_seed(seed)
    stage = Stage(channels, outputs)
    with torch.no_grad():
        stage.taps.weight.copy_(torch.randn(outputs, channels * 25, generator=draw) / (channels * 25) ** 0.5)
        stage.taps.bias.copy_(torch.randn(outputs, generator=draw))
        stage.norm.weight.copy_(torch.randn(outputs, generator=draw))
        stage.norm.bias.copy_(torch.randn(outputs, generator=draw))
        stage.norm.running_mean.copy_(torch.randn(outputs, generator=draw))
        stage.norm.running_var.copy_(torch.rand(outputs, generator=draw) + 0.5)
    return stage, torchs(stage)


def torchs(stage: Stage) -> nn.Sequential:
    """The stage as torch's modules; gradients and changes do not reach one from the other."""
    outputs, taps = stage.taps.weight.shape
    plain = nn.Sequential(nn.Conv2d(taps // 25, outputs, 5), nn.BatchNorm2d(outputs), nn.ReLU(), nn.AvgPool2d(2))
    plain.to(stage.taps.weight.dtype)
    plain[0].load_state_dict(
        {"weight": stage.taps.weight.detach().view_as(plain[0].weight), "bias": stage.taps.bias.detach()}
    )
    plain[1].load_state_dict(stage.norm.state_dict())
    return plain.train(stage.training)


def random(shape: tuple[int, ...], seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def step(network: nn.Module, x: Tensor) -> list[Tensor]:
    """Output of a training step, and the gradients to images and parameters."""
    x = x.clone().requires_grad_()
    output = network(x)
    gradient = random(tuple(output.shape), seed=7).to(output.dtype)
    return [output.detach(), *torch.autograd.grad(output, [x, *network.parameters()], gradient)]


def assert_equal_steps(stage: Stage, plain: nn.Sequential, x: Tensor, share: float = 1e-4) -> None:
    """Output, running statistics and all gradients of a training step, against torch's in float64.

    share: of the largest value among the batch-norm's gradients that rounding may take. The convolution's bias has no
    gradient but rounding, since batch-norm takes every shift away again.
    """
    plain = plain.double()
    found, right = step(stage, x), step(plain, x.double())
    for number, (mine, reference) in enumerate(zip(found, right, strict=True)):
        assert mine.dtype == torch.float32
        size = max(float(reference.abs().max()), 1e-2)
        if number == 3:
            size = max(float(each.abs().max()) for each in right[2:]) * 10
        torch.testing.assert_close(mine.view(reference.shape), reference.float(), rtol=1e-3, atol=share * size)
    torch.testing.assert_close(stage.norm.running_mean, plain[1].running_mean.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(stage.norm.running_var, plain[1].running_var.float(), rtol=1e-4, atol=1e-5)
    assert stage.norm.num_batches_tracked == plain[1].num_batches_tracked == 1


# those of LeNet5 itself; of few images and pixels; and with rows longer than a tile
SHAPES = [(128, 3, 32, 32), (128, 6, 14, 14), (16, 1, 32, 32), (2, 3, 6, 6), (1, 1, 6, 8), (500, 2, 8, 14)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("outputs", [6, 16, 1])
def test_a_training_step_equals_torchs(shape, outputs):
    stage, plain = pair(shape[1], outputs)
    images = (random(shape, seed) + 0.5 for seed in range(100))
    assert_equal_steps(stage, plain, next(x for x in images if is_clear(plain, x, 2e-6)))


def is_clear(plain: nn.Sequential, x: Tensor, margin: float) -> bool:
    """Whether no value lies where rounding may put it on either side of zero: there it has either gradient."""
    exact = copy.deepcopy(plain[:2]).double()
    with torch.no_grad():
        return float(exact(x.double()).abs().min()) > margin


@settings(max_examples=80)
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(3, 7), st.integers(3, 7)), st.integers(1, 5),
    st.integers(0, 1000), st.sampled_from([(0.0, 1.0), (-3.0, 1.0), (0.0, 0.1), (1.0, 10.0)]),
)  # fmt: skip
def test_any_shape_and_scale(shape, outputs, seed, scale):
    images, channels, rows, columns = shape
    offset, spread = scale
    stage, plain = pair(channels, outputs, seed)
    x = spread * random((images, channels, 2 * rows, 2 * columns), seed) + offset
    assume(is_clear(plain, x, 2e-4))
    assert_equal_steps(stage, plain, x, share=1e-3)


# the convolution by itself


def convolved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return batch_first(convolve(batch_last(x), weight.numpy(), bias.numpy(), 0))


@settings(max_examples=80)
@given(
    st.integers(1, 7), st.integers(1, 4), st.integers(1, 5), st.integers(5, 13), st.integers(5, 13),
    st.integers(0, 1000), st.sampled_from([(0.0, 1.0), (-3.0, 0.01), (100.0, 10.0)]),
)  # fmt: skip
def test_convolutions_of_any_shape_and_scale(images, channels, outputs, height, width, seed, scale):
    """Up to a share of the sum of what is added, without signs: terms may cancel. Odd sizes too."""
    offset, spread = scale
    x = spread * random((images, channels, height, width), seed) + offset
    weight, bias = random((outputs, channels, 5, 5), seed + 1), random((outputs,), seed + 2)
    gradient = random((images, outputs, height - 4, width - 4), seed + 3)

    def exact(x: Tensor, weight: Tensor, bias: Tensor, gradient: Tensor) -> list[Tensor]:
        x, weight, bias = (each.double().requires_grad_() for each in (x, weight, bias))
        output = nn.functional.conv2d(x, weight, bias)
        return [output, torch.autograd.grad(output, weight, gradient.double())[0]]

    found = [
        convolved(x, weight, bias),
        torch.from_numpy(weight_gradient(batch_last(x), batch_last(gradient))),
    ]
    right = exact(x, weight, bias, gradient)
    summed = exact(x.abs(), weight.abs(), bias.abs(), gradient.abs())
    for mine, reference, size in zip(found, right, summed, strict=True):
        assert mine.dtype == torch.float32 and mine.shape == reference.shape
        assert ((mine - reference).abs() <= 300 * torch.finfo(torch.float32).eps * size).all()


def test_every_pixel_reaches_the_outputs_it_should():
    """A one at one place, weights that tell themselves apart: what comes out is the kernel, at its place."""
    weight, bias = torch.arange(150.0).view(3, 2, 5, 5), torch.tensor([0.0, 1000, 2000])
    x = torch.zeros(2, 2, 9, 11)
    x[1, 1, 4, 5] = 1
    output = convolved(x, weight, bias)
    for o in range(3):
        assert (output[0, o] == 1000 * o).all()
        assert torch.equal(output[1, o, :5, 1:6] - 1000 * o, weight[o, 1].flip(0, 1))
        assert (output[1, o, :, 6:] == 1000 * o).all() and (output[1, o, :, 0] == 1000 * o).all()


# batch-norm by itself: behind a convolution that hands its one channel on


def norm_only() -> tuple[Stage, nn.Sequential]:
    stage, _ = pair(1, 2)
    with torch.no_grad():
        stage.taps.weight.zero_()[:, 12] = 1
        stage.taps.bias.zero_()
    return stage, torchs(stage)


@pytest.mark.parametrize("value", [0.0, 1.0, -7.3, 1000.0])
def test_a_constant_channel(value):
    """No variance: the output is the bias, cut and pooled; eps keeps everything finite."""
    stage, plain = norm_only()
    x = torch.full((4, 1, 12, 12), value)
    output = stage(x)
    expected = stage.norm.bias.clamp(min=0).view(1, 2, 1, 1).expand(4, 2, 4, 4)
    atol = max(1e-3, 2e-5 * abs(value))  # without variance, batch-norm multiplies by 316
    torch.testing.assert_close(output, expected, rtol=1e-3, atol=atol)
    torch.testing.assert_close(output, plain(x), rtol=1e-3, atol=atol)
    torch.testing.assert_close(stage.norm.running_var, plain[1].running_var, rtol=1e-4, atol=1e-5)
    output.square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in stage.parameters())


def test_a_mean_far_from_zero_keeps_the_variance():
    """Sums of squares alone would lose it: 1000 squared leaves no digits of float32 for 0.01 squared."""
    stage, plain = norm_only()
    x = 1000 + 0.5 * random((16, 1, 20, 20))
    stage(x)
    plain(x)
    torch.testing.assert_close(stage.norm.running_var, plain[1].running_var, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(stage.norm.running_mean, plain[1].running_mean, rtol=1e-6, atol=1e-6)


def test_gradients_by_finite_differences():
    """Independent of torch's own formulas: the loss moves as the gradient says."""
    stage, _ = pair(2, 3)
    x = random((3, 2, 8, 8))
    weighting = random((3, 3, 2, 2), seed=3)
    leaf = x.clone().requires_grad_()
    (stage(leaf) * weighting).sum().backward()
    weight, bias, scale, shift = (each.detach().double().numpy() for each in stage.parameters())

    def loss(x: Tensor, weight: np.ndarray = weight) -> float:
        windows = np.lib.stride_tricks.sliding_window_view(x.double().numpy(), (5, 5), (2, 3))
        y = np.einsum("bchwij,ocij->bohw", windows, weight.reshape(3, 2, 5, 5)) + bias[:, None, None]
        mean, variance = y.mean((0, 2, 3), keepdims=True), y.var((0, 2, 3), keepdims=True)
        y = np.maximum((y - mean) / np.sqrt(variance + 1e-5) * scale[:, None, None] + shift[:, None, None], 0)
        pooled = y.reshape(3, 3, 2, 2, 2, 2).mean((3, 5))
        return float((pooled * weighting.double().numpy()).sum())

    for place in [(0, 0, 0, 0), (1, 1, 2, 3), (2, 0, 7, 1)]:
        change = torch.zeros_like(x)
        change[place] = 1e-3
        slope = (loss(x + change) - loss(x - change)) / 2e-3
        assert float(leaf.grad[place]) == pytest.approx(slope, abs=2e-3)
    for place in [(0, 0), (1, 30), (2, 49)]:
        change = np.zeros_like(weight)
        change[place] = 1e-4
        slope = (loss(x, weight + change) - loss(x, weight - change)) / 2e-4
        assert float(stage.taps.weight.grad[place]) == pytest.approx(slope, abs=5e-3)


# in training and after it


def test_running_statistics_after_several_steps_and_eval_mode():
    stage, plain = pair(2, 6)
    for number in range(5):
        x = (number + 1) * random((8, 2, 16, 16), seed=number)
        stage(x)
        plain(x)
    assert stage.norm.num_batches_tracked == plain[1].num_batches_tracked == 5
    for name, value in plain[1].state_dict().items():
        torch.testing.assert_close(stage.norm.state_dict()[name], value, rtol=1e-5, atol=1e-5)
    stage.eval()
    plain.eval()
    before = {name: value.clone() for name, value in stage.state_dict().items()}
    with torch.no_grad():
        torch.testing.assert_close(stage(x), plain(x), rtol=1e-4, atol=1e-5)
    for name, value in stage.state_dict().items():
        assert torch.equal(value, before[name])


def test_gradients_in_eval_mode_are_torchs():
    stage, _ = pair(2, 3)
    stage.eval()
    for mine, reference in zip(
        step(stage, random((4, 2, 8, 8))), step(torchs(stage), random((4, 2, 8, 8))), strict=True
    ):
        assert torch.equal(mine.flatten(), reference.flatten())


def test_inference_mode():
    stage, _ = pair(3, 4)
    plain = torchs(stage.eval())
    x = random((6, 3, 10, 10))
    with torch.inference_mode():
        torch.testing.assert_close(stage(x), plain(x), rtol=1e-4, atol=1e-5)


def test_under_autocast_it_stays_float32():
    stage, plain = pair(3, 4)
    x = random((6, 3, 10, 10)).bfloat16()
    leaf = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        output = stage(leaf)
    assert output.dtype == torch.float32
    theirs = x.float().requires_grad_()
    expected = plain(theirs)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    output.square().sum().backward()
    expected.square().sum().backward()
    assert leaf.grad.dtype == torch.bfloat16
    torch.testing.assert_close(leaf.grad.float(), theirs.grad, rtol=1e-2, atol=1e-2)
    weight = plain[0].weight.grad.view_as(stage.taps.weight)
    torch.testing.assert_close(stage.taps.weight.grad, weight, rtol=1e-3, atol=1e-3)
    assert stage.taps.weight.grad.dtype == stage.norm.weight.grad.dtype == torch.float32


def test_equal_bit_for_bit_again():
    stage, _ = pair(3, 6)
    steps = [step(stage, random((64, 3, 32, 32))) for _ in range(3)]
    for parts in zip(*steps, strict=True):
        assert torch.equal(parts[0], parts[1]) and torch.equal(parts[0], parts[2])


def test_no_gradient_to_images_unless_asked():
    stage, _ = pair(3, 6)
    x = random((4, 3, 8, 8))
    stage(x).sum().backward()
    assert x.grad is None and stage.taps.weight.grad is not None


def test_no_gradient_of_a_gradient():
    """Rather than a wrong one."""
    stage, _ = pair(3, 4)
    leaf = random((2, 3, 8, 8)).requires_grad_()
    (slope,) = torch.autograd.grad(stage(leaf).square().sum(), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize("changed", ["images", "taps", "norm's weight", "norm's bias"])
def test_what_changes_before_the_backward_pass_is_an_error(changed):
    stage, _ = pair(3, 4)
    x = batch_first(batch_last(random((2, 3, 8, 8))))
    output = stage(x)
    at = {"images": x, "taps": stage.taps.weight, "norm's weight": stage.norm.weight, "norm's bias": stage.norm.bias}
    with torch.no_grad():
        at[changed].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


# memory


@pytest.mark.parametrize(
    "arrange",
    [lambda x: x, lambda x: x.contiguous(memory_format=torch.channels_last), lambda x: x.mT, lambda x: x.flip(0), lambda x: x[::2], lambda x: x[:, :, 2:]],
    ids=["planes", "channels last", "columns", "turned", "every other", "cut"],
)  # fmt: skip
def test_any_memory_layout(arrange):
    stage, plain = pair(3, 4)
    x = arrange(random((6, 3, 10, 10)))
    torch.testing.assert_close(stage(x), plain(x), rtol=1e-4, atol=1e-5)
    assert torch.equal(torch.from_numpy(batch_last(x)), x.permute(1, 2, 3, 0))


def test_images_that_lie_beside_each_other_are_not_copied():
    stage, _ = pair(3, 4)
    between = stage(random((6, 3, 10, 10)))
    assert batch_last(between).ctypes.data == between.data_ptr()
    x = random((6, 3, 9, 9))
    assert torch.equal(batch_first(batch_last(x)), x)


def test_the_input_is_left_as_it_is():
    stage, _ = pair(2, 2)
    x = batch_first(batch_last(random((3, 2, 8, 8)))).requires_grad_()
    before = x.detach().clone()
    stage(x).square().sum().backward()
    assert torch.equal(x, before)


@pytest.mark.parametrize("change", [lambda m: m.to(memory_format=torch.channels_last), lambda m: m.double()], ids=["channels last", "float64"])  # fmt: skip
def test_a_stage_that_was_changed(change):
    """A layout that a network is given, or wider weights: the same numbers, and gradients as the weights are."""
    stage, plain = pair(3, 4)
    x = random((6, 3, 10, 10))
    expected = plain(x)
    stage = change(stage)
    assert stage.taps.weight.is_contiguous()
    output = stage(x)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    output.sum().backward()
    assert all(parameter.grad.dtype == parameter.dtype for parameter in stage.parameters())


# what torch computes


@pytest.mark.parametrize("size", [(7, 8), (8, 7), (9, 9), (13, 6)])
def test_odd_sizes_are_torchs_own(size):
    stage, plain = pair(3, 4)
    x = random((4, 3, *size))
    output = stage(x)
    assert output.shape == (4, 4, (size[0] - 4) // 2, (size[1] - 4) // 2)
    assert torch.equal(output, plain(x))
    assert torch.equal(stage.norm.running_var, plain[1].running_var)


@pytest.mark.parametrize("shape", [(2, 3, 4, 8), (2, 3, 8, 4), (2, 4, 8, 8), (2, 1, 8, 8), (2, 3, 8), (2, 3, 5, 5)])
def test_what_does_not_fit_is_torchs_error_and_never_read_beside_an_array(shape):
    for training in (True, False):
        stage, plain = pair(3, 4)
        x = random(shape)
        for network in (plain.train(training), stage.train(training)):
            with pytest.raises((RuntimeError, ValueError)):
                network(x)


# the whole network


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 32), (3, 40), (1, 41)])
def test_lenet5_is_the_network_of_torchs_modules(channels, size):
    torch.manual_seed(0)
    network = build_network("lenet5", channels, 10, size)
    plain = nn.Sequential(*(torchs(part) if isinstance(part, Stage) else copy.deepcopy(part) for part in network))
    x = torch.rand(16, size, size, channels).permute(0, 3, 1, 2)
    for _ in range(2):
        torch.testing.assert_close(network(x), plain(x), rtol=1e-3, atol=1e-4)
    network.eval()
    plain.eval()
    with torch.inference_mode():
        torch.testing.assert_close(network(x), plain(x), rtol=1e-3, atol=1e-4)
