"""Conv5x5 against torch's own convolution."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lab.networks.convolution import Conv5x5, batch_first, batch_last


def pair(channels: int, outputs: int, seed: int = 0) -> tuple[Conv5x5, nn.Conv2d]:
    """The module and torch's, with the same weights and biases."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        ours, theirs = Conv5x5(channels, outputs), nn.Conv2d(channels, outputs, 5)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def random(shape: tuple[int, ...], seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def step(convolution: nn.Conv2d, x: Tensor, gradient: Tensor) -> list[Tensor]:
    """Output and the gradients to images, weight and bias."""
    x = x.clone().requires_grad_()
    output = convolution(x)
    return [output.detach(), *torch.autograd.grad(output, [x, convolution.weight, convolution.bias], gradient)]


def gradient_to(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    return random((len(x), convolution.out_channels, x.shape[2] - 4, x.shape[3] - 4), seed=7)


def assert_equal_steps(ours: Conv5x5, theirs: nn.Conv2d, x: Tensor) -> None:
    """Against torch's in float64."""
    gradient = gradient_to(ours, x)
    found, right = step(ours, x, gradient), step(theirs.double(), x.double(), gradient.double())
    for mine, reference in zip(found, right, strict=True):
        assert mine.dtype == torch.float32 and mine.shape == reference.shape
        atol = 1e-5 * float(reference.abs().max()) + 1e-6
        torch.testing.assert_close(mine, reference.float(), rtol=1e-4, atol=atol)


def assert_equal_but_for_rounding(ours: Conv5x5, theirs: nn.Conv2d, x: Tensor) -> None:
    """As above where terms may cancel: up to a share of the sum of what is added, without signs. For few terms each."""
    gradient = gradient_to(ours, x)
    found, right = step(ours, x, gradient), step(theirs.double(), x.double(), gradient.double())
    for parameter in theirs.parameters():
        parameter.data.abs_()
    summed = step(theirs, x.double().abs(), gradient.double().abs())
    for mine, reference, size in zip(found, right, summed, strict=True):
        assert mine.dtype == torch.float32 and mine.shape == reference.shape
        assert ((mine - reference).abs() <= 300 * torch.finfo(torch.float32).eps * size).all()


# the last has rows longer than a tile
@pytest.mark.parametrize("shape", [(128, 3, 32, 32), (128, 6, 14, 14), (16, 1, 32, 32), (500, 2, 9, 14)])
@pytest.mark.parametrize("outputs", [6, 16])
def test_a_step_equals_torchs(shape, outputs):
    assert_equal_steps(*pair(shape[1], outputs), random(shape) + 0.5)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 7), st.integers(1, 4), st.integers(1, 5), st.integers(5, 13), st.integers(5, 13),
    st.integers(0, 1000), st.sampled_from([(0.0, 1.0), (-3.0, 0.01), (100.0, 10.0)]),
)  # fmt: skip
def test_any_shape_and_scale(images, channels, outputs, height, width, seed, scale):
    offset, spread = scale
    assert_equal_but_for_rounding(
        *pair(channels, outputs, seed), spread * random((images, channels, height, width), seed) + offset
    )


def test_every_pixel_reaches_the_outputs_it_should():
    """A one at one place, weights that tell themselves apart: what comes out is the kernel, at its place."""
    ours, _ = pair(2, 3)
    with torch.no_grad():
        ours.weight.copy_(torch.arange(150.0).view(3, 2, 5, 5))
        ours.bias.copy_(torch.tensor([0.0, 1000, 2000]))
    x = torch.zeros(2, 2, 9, 11)
    x[1, 1, 4, 5] = 1
    output = ours(x).detach()
    for o in range(3):
        assert (output[0, o] == 1000 * o).all()
        assert torch.equal(output[1, o, :5, 1:6] - 1000 * o, ours.weight[o, 1].detach().flip(0, 1))
        assert (output[1, o, :, 6:] == 1000 * o).all() and (output[1, o, :, 0] == 1000 * o).all()


def test_no_gradient_to_images_unless_asked():
    ours, _ = pair(3, 6)
    x = random((4, 3, 8, 8))
    ours(x).sum().backward()
    assert x.grad is None and ours.weight.grad is not None


@pytest.mark.parametrize(
    "arrange",
    [lambda x: x, lambda x: x.contiguous(memory_format=torch.channels_last), lambda x: x.mT, lambda x: x.flip(0), lambda x: x[::2], lambda x: x[:, :, 1:]],
    ids=["planes", "channels last", "columns", "turned", "every other", "cut"],
)  # fmt: skip
def test_any_memory_layout(arrange):
    ours, theirs = pair(3, 4)
    x = arrange(random((6, 3, 9, 9)))
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    assert torch.equal(torch.from_numpy(batch_last(x)), x.permute(1, 2, 3, 0))


def test_images_that_lie_beside_each_other_are_not_copied():
    ours, _ = pair(3, 4)
    between = ours(random((6, 3, 9, 9)))
    assert batch_last(between).ctypes.data == between.data_ptr()
    x = random((6, 3, 9, 9))
    assert torch.equal(batch_first(batch_last(x)), x)


def test_the_input_is_left_as_it_is():
    ours, _ = pair(2, 2)
    x = batch_first(batch_last(random((3, 2, 8, 8)))).requires_grad_()
    before = x.detach().clone()
    ours(x).square().sum().backward()
    assert torch.equal(x, before)


@pytest.mark.parametrize("changed", ["weight", "images"])
def test_what_changes_before_the_backward_pass_is_an_error(changed):
    ours, _ = pair(3, 4)
    x = batch_first(batch_last(random((2, 3, 8, 8))))
    output = ours(x)
    with torch.no_grad():
        (ours.weight if changed == "weight" else x).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_equal_bit_for_bit_again():
    ours, _ = pair(3, 6)
    x = random((64, 3, 32, 32))
    gradients = []
    for _ in range(3):
        ours.zero_grad()
        ours(x).square().sum().backward()
        gradients.append(ours.weight.grad.clone())
    assert torch.equal(gradients[0], gradients[1]) and torch.equal(gradients[0], gradients[2])


@pytest.mark.parametrize("change", [lambda m: m.to(memory_format=torch.channels_last), lambda m: m.double()], ids=["channels last", "float64"])  # fmt: skip
def test_a_network_that_was_changed(change):
    """Weights that lie otherwise, or are wider: the same numbers, and gradients as the weights are."""
    ours, theirs = pair(3, 4)
    x = random((6, 3, 9, 9))
    expected = theirs(x)
    ours = change(ours)
    output = ours(x)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    output.sum().backward()
    assert ours.weight.grad.dtype == ours.weight.dtype


def test_under_autocast_it_stays_float32():
    ours, theirs = pair(3, 4)
    x = random((6, 3, 9, 9)).bfloat16()
    leaf = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        output = ours(leaf)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output, theirs(x.float()), rtol=1e-4, atol=1e-5)
    output.sum().backward()
    assert leaf.grad.dtype == torch.bfloat16 and ours.weight.grad.dtype == torch.float32


def test_inference_mode():
    ours, theirs = pair(3, 4)
    x = random((6, 3, 9, 9))
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_state_dicts_are_torchs():
    ours, theirs = pair(3, 4)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("shape", [(2, 3, 4, 8), (2, 3, 8, 4), (2, 4, 8, 8)])
def test_images_that_do_not_fit_are_refused_as_torch_does(shape):
    """A kernel that ran on would read beside its arrays."""
    ours, theirs = pair(3, 4)
    with pytest.raises(RuntimeError):
        theirs(random(shape))
    with pytest.raises(RuntimeError):
        ours(random(shape))


def test_no_gradient_of_a_gradient():
    """Rather than a wrong one."""
    ours, _ = pair(3, 4)
    leaf = random((2, 3, 8, 8)).requires_grad_()
    (slope,) = torch.autograd.grad(ours(leaf).square().sum(), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()
