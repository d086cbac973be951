"""KTH-TIPS2b's layout, made of pieces of real photographs, and names that do not parse."""

from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from lab.compose import compose
from lab.data import load
from lab.errors import UserError


@pytest.fixture(params=["png", "jpg"])
def root(tmp_path, request) -> Path:
    for material, photograph in (("brick", skimage.data.brick()), ("grass", skimage.data.grass())):
        for sample in "abcd":
            folder = tmp_path / "KTH-TIPS2-b" / material / f"sample_{sample}"
            folder.mkdir(parents=True)
            for image, scale in ((1, 2), (6, 2), (12, 10)):
                Image.fromarray(photograph[image * 10 :, scale * 10 :][:40, :40]).save(
                    folder / f"15{sample}-scale_{scale}_im_{image}_col.{request.param}"
                )
    return tmp_path


def configuration(root: Path, *words: str):
    return compose(["data=kth_tips2b", "batch_size=2", "resize=36", "crop=32", f"root={root}", f"cache={root}", *words])


def test_samples_are_split_and_kinds_are_known(root):
    data = load(configuration(root))
    assert data.classes == ["brick", "grass"]
    assert len(data.train) == 18 and len(data.test) == 6
    assert {name.split("/")[1] for name in data.test.ids} == {"sample_a"}
    assert {name.split("/")[1] for name in data.train.ids} == {"sample_b", "sample_c", "sample_d"}
    found = {name.rsplit("/", 1)[1]: i for i, name in enumerate(data.test.ids) if name.startswith("brick")}
    kinds = {name: [values[i] for i in found.values()] for name, values in data.test.annotations.items()}
    by_image = dict(
        zip([name.split("_im_")[1].split("_")[0] for name in found], zip(*kinds.values(), strict=True), strict=True)
    )
    assert by_image == {
        "1": (2, "frontal", "frontal"),
        "6": (2, "from the side", "right"),
        "12": (10, "ambient", "left"),
    }


def test_another_sample_can_be_tested_on(root):
    assert {name.split("/")[1] for name in load(configuration(root, "test_sample=c")).test.ids} == {"sample_c"}


@pytest.mark.parametrize("name", ["15a-scale_2_im_13_col.png", "15a-scale_2_col.png", "holiday.png"])
def test_a_name_that_does_not_parse(root, name):
    folder = root / "KTH-TIPS2-b/grass/sample_b"
    next(folder.iterdir()).rename(folder / name)
    with pytest.raises(UserError, match=f"{name}: the name is not of the form"):
        load(configuration(root))


def test_what_is_missing_is_told(root, tmp_path):
    with pytest.raises(UserError, match="kth-tips2-b_col"):
        load(configuration(tmp_path / "nowhere"))
    folder = root / "KTH-TIPS2-b/grass/sample_a"
    folder.rename(folder.with_name("sample_e"))
    with pytest.raises(UserError, match="needs a folder sample_a"):
        load(configuration(root))
