"""How much faster the image statistics are than their original form, on the same images in one run.

    uv run benchmarks/image_statistics.py [--root data]

``--root`` holds the folders ``cifar10`` and ``VOCdevkit`` (see docs); without them, pieces of the photographs that
scikit-image carries are measured instead, and the output says so. All but the last part runs on one core. Times are the
best of several rounds and leave out reading and decoding image files and compiling.

The original forms are the definitions as the code of the paper computes them: every entropy window through
``numpy.unique``, every number of coefficients through two norms, as torch tensors. For segments, where the original
starts a program per image, scikit-image and OpenCV stand in; OpenCV takes part where its package
``opencv-contrib-python-headless`` is installed (the plain package has no segmentation).
"""

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import skimage.data
import torch
from scipy.fft import dctn
from skimage.segmentation import felzenszwalb

from metrics import (
    STATISTICS,
    entropy,
    frequencies,
    frequency,
    luminance,
    read_image,
    segments,
    statistics_table,
)

SMALL, LARGE = (32, 32), (375, 500)


def original_entropy(image: np.ndarray) -> float:
    """Mean entropy of the 10 x 10 windows, in bits."""
    grey = luminance(image)
    entropies = []
    for y in range(grey.shape[0] - 9):
        for x in range(grey.shape[1] - 9):
            _, counts = np.unique(grey[y : y + 10, x : x + 10], return_counts=True)
            shares = counts / float(np.sum(counts))
            entropies.append(-np.sum(shares * np.log2(shares)))
    return float(np.mean(entropies))


def original_frequency(image: np.ndarray) -> float:
    """Percentage of coefficients that hold 99.98 % of the norm."""
    transformed = torch.from_numpy(dctn(luminance(image), norm="ortho"))
    ordered, _ = torch.sort(torch.abs(transformed).flatten(), descending=True)
    count = 1
    while torch.norm(ordered[:count]) / torch.norm(ordered) < 0.9998:
        count += 1
    return 100.0 * (count - 1) / ordered.numel()


def one_norm_frequency(image: np.ndarray) -> float:
    """The same in numpy, with the norm of all coefficients computed once: a kinder comparison."""
    ordered = np.sort(np.abs(dctn(luminance(image), norm="ortho")).ravel())[::-1]
    whole, count = np.linalg.norm(ordered), 1
    while np.linalg.norm(ordered[:count]) / whole < 0.9998:
        count += 1
    return 100.0 * (count - 1) / ordered.size


def skimage_segments(image: np.ndarray) -> float:
    """Number of segments as scikit-image counts them."""
    return float(felzenszwalb(image, scale=500, sigma=0.5, min_size=20).max() + 1)


def opencv_segments() -> Callable[[np.ndarray], float] | None:
    """OpenCV's count of segments, None where its extra modules are not installed."""
    try:
        import cv2

        cv2.setNumThreads(1)
        segmentation = cv2.ximgproc.segmentation.createGraphSegmentation(0.5, 500, 20)
    except (ImportError, AttributeError):
        return None
    return lambda image: float(segmentation.processImage(image).max() + 1)


def photographs(size: tuple[int, int]) -> list[np.ndarray]:
    """Pieces of one size of scikit-image's own photographs."""
    height, width = size
    pieces = []
    for photograph in (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.rocket()):
        for y in range(0, photograph.shape[0] - height + 1, height):
            for x in range(0, photograph.shape[1] - width + 1, width):
                pieces.append(np.ascontiguousarray(photograph[y : y + height, x : x + width]))
    return pieces


def seconds(function: Callable[[np.ndarray], object], images: Iterable[np.ndarray], rounds: int) -> float:
    """Best time per image, in seconds, over a number of rounds through the images."""
    images = list(images)
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        for image in images:
            function(image)
        best = min(best, time.perf_counter() - start)
    return float(best) / len(images)


def line(what: str, ours: float, theirs: float, same: str, target: float) -> None:
    ratio = theirs / ours
    print(f"{what:<58}{1e3 * ours:9.3f} ms{1e3 * theirs:11.3f} ms{ratio:8.1f}x   (target {target:g}x)   {same}")


def compare(images: list[np.ndarray], some: int) -> None:
    """Print a line per statistic and original form; the slow originals run on the first ``some`` images only."""
    size = f"{images[0].shape[1]}x{images[0].shape[0]}"
    few = images[:some]

    error = max(abs(entropy(image) - original_entropy(image)) for image in few)
    ours, theirs = seconds(entropy, few, 5), seconds(original_entropy, few, 2)
    line(f"entropy {size}, against np.unique per window", ours, theirs, f"largest difference {error:.0e} bits", 150)

    if images[0].shape[:2] == SMALL:
        stack = np.stack(images)
        values = frequencies(stack)
        in_stack = seconds(frequencies, [stack], 5) / len(stack)
        for original, name in ((original_frequency, "growing norms"), (one_norm_frequency, "norm of all once")):
            equal = sum(original(image) == value for image, value in zip(few, values, strict=False))
            theirs = seconds(original, few, 2)
            same = f"equal on {equal} of {len(few)}"
            target = 150 if original is original_frequency else 1
            line(f"frequency {size} in stacks, against {name}", in_stack, theirs, same, target)
            line(f"frequency {size} one by one, against {name}", seconds(frequency, few, 5), theirs, same, target)

    counts = [segments(image) for image in images]
    ours = seconds(segments, images, 3)
    others = {"scikit-image": skimage_segments, "OpenCV": opencv_segments()}
    for name, other in others.items():
        if other is None:
            print(f"segments {size}: OpenCV left out, it needs opencv-contrib-python-headless")
            continue
        same = f"same count on {sum(other(image) == count for image, count in zip(images, counts, strict=True))}"
        line(f"segments {size}, against {name}", ours, seconds(other, images, 3), f"{same} of {len(images)}", 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of data sets (default: data)")
    root = parser.parse_args().root
    torch.set_num_threads(1)

    cifar = sorted((root / "cifar10").glob("t*/*/*.png"))
    if cifar:
        print(f"small images: {len(cifar)} of CIFAR-10, {root / 'cifar10'}")
        small = np.stack([read_image(path) for path in cifar])
    else:
        print(f"small images: pieces of scikit-image's photographs, since there is no CIFAR-10 in {root}")
        small = np.stack(photographs(SMALL))
    large = []
    for path in sorted((root / "VOCdevkit").glob("*/JPEGImages/*.jpg"))[:100]:
        image = read_image(path)
        if image.shape == (*LARGE, 3):
            large.append(image)
    print(f"large images: {min(len(large), 10)} of Pascal VOC" if large else "large images: scikit-image's photographs")
    large = large[:10] or photographs(LARGE)

    for function in STATISTICS.values():  # compile
        function(small[0])
    print(f"\n{'one core, per image':<58}{'ours':>12}{'original':>14}")
    evenly = np.linspace(0, len(small) - 1, min(len(small), 200)).astype(int)
    compare(list(small[evenly]), some=20)
    compare(large, some=2)

    start = time.perf_counter()
    table = statistics_table(small, range(len(small)), ["entropy", "frequency", "segments"])
    elapsed = time.perf_counter() - start
    print(f"\nall cores: {', '.join(table)} of {len(small)} images in {elapsed:.1f} s, without a cache,", end=" ")
    print("images decoded before" + (" (target: 60 s)" if len(small) == 60_000 else ""))
    print("means: " + ", ".join(f"{name} {mean:.3f}" for name, mean in table.mean().items()))


if __name__ == "__main__":
    main()
