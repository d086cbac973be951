"""What is wrong with a set of images and cannot be seen in training: images that are there twice, values that use few of their bits."""

import hashlib
from collections import defaultdict

from lab.data.split import Split
from lab.pixels import Images

MOST = 200_000  # images that are looked through: beyond, reading all pixels once takes minutes
SAMPLE = 64  # pixels of an image that tell most of them apart


def traps(train: Split, test: Split) -> tuple[str, ...]:
    """A note for each trap that the splits hold, with a count."""
    if len(train) + len(test) > MOST:
        return ()
    return (*doubled(train, test), *dark(train, test))


def doubled(train: Split, test: Split) -> tuple[str, ...]:
    """Images of the same pixels, as networks see them before cropping: how many, across splits, and under different labels."""
    groups = same_images([train.images, test.images])
    if not groups:
        return ()
    labels = train.labels.tolist(), test.labels.tolist()
    differ = sum(len({labels[part][i] for part, i in group}) > 1 for group in groups)
    leaked = sum(sum(part for part, _ in group) for group in groups if len({part for part, _ in group}) > 1)
    part, i = groups[0][0]
    words = [
        f"{sum(map(len, groups))} images are exact copies of one another, in {len(groups)} group{'s' * (len(groups) > 1)}"
    ]
    words += [f"{leaked} of the test set {'is' if leaked == 1 else 'are'} in the train set too"] if leaked else []
    words += [f"{differ} group{'s have' if differ > 1 else ' has'} different labels"] if differ else []
    return ("; ".join([*words, f"the first: {(train, test)[part].ids[i]}"]),)


def same_images(parts: list[Images]) -> list[list[tuple[int, int]]]:
    """Groups of two or more images of equal pixels, each image as the number of its part and its index there."""
    alike: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for part, images in enumerate(parts):
        for i, (begin, shape) in enumerate(zip(images.begins.tolist(), images.shapes.tolist(), strict=True)):
            size = shape[0] * shape[1]
            sample = images.pixels[begin : begin + size : max(1, size // SAMPLE)]
            alike[repr(shape).encode() + sample.tobytes()].append((part, i))
    groups: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for key, members in alike.items():
        for part, i in members if len(members) > 1 else ():
            groups[key + hashlib.sha256(parts[part][i].tobytes()).digest()].append((part, i))
    return [members for members in groups.values() if len(members) > 1]


def dark(train: Split, test: Split) -> tuple[str, ...]:
    """Whether no pixel of a set is as bright as a quarter of white, as of 16-bit images of 12 bits that no file tells of."""
    brightest = max(int(split.images.pixels.max()) for split in (train, test))
    if brightest >= 64:
        return ()
    return (
        f"all images are dark: the brightest value is {brightest} of 255; if they were made of 10 or 12 bits, scale them to 8 or 16",
    )
