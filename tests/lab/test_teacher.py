"""The statistic of a teacher's features, with weights that the test makes: nothing is downloaded."""

import numpy as np
import pytest
import torch
from torchvision import models

from lab.errors import UserError
from lab.statistics import check_names
from lab.teacher import features_of, loaded, register
from metrics import EXAMPLE_STATISTICS, difficulty_by_features, statistics_table


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    torch.save(models.resnet18(num_classes=7).state_dict(), tmp_path / "teacher.pt")
    yield tmp_path / "teacher.pt"
    EXAMPLE_STATISTICS.pop("teacher:resnet18", None)


def pictures(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Dark and bright images, of classes 0 and 1."""
    draw, labels = np.random.default_rng(0), np.arange(number) % 2
    return (draw.integers(0, 90, (number, 20, 24, 3)) + 120 * labels[:, None, None, None]).astype(np.uint8), labels


def test_wrong_labels_are_hard_and_what_is_computed_is_kept(weights, tmp_path, monkeypatch):
    register(["entropy", "teacher:resnet18"], str(weights))
    images, labels = pictures(24)
    labels[5] = 0
    table = statistics_table(images, range(24), ["teacher:resnet18"], tmp_path / "cache", labels=labels)
    assert table["teacher:resnet18"].idxmax() == 5 and table["teacher:resnet18"].between(0, 1).all()
    with monkeypatch.context() as patch:
        patch.setattr("lab.teacher.loaded", None)  # it is not asked again
        again = statistics_table(images, range(24), ["teacher:resnet18"], tmp_path / "cache", labels=labels)
        assert again.equals(table)
        torch.save(models.resnet18(num_classes=3).state_dict(), weights)
        register(["teacher:resnet18"], str(weights))
        with pytest.raises(TypeError):  # of other weights it is
            statistics_table(images, range(24), ["teacher:resnet18"], tmp_path / "cache", labels=labels)


def test_features_are_those_before_the_last_layer(weights):
    images, _ = pictures(2)
    network = models.resnet18(num_classes=7)
    network.load_state_dict(torch.load(weights))
    network.fc = torch.nn.Identity()
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    pixels = torch.nn.functional.interpolate(pixels, (224, 224), mode="bilinear", antialias=True)
    pixels = (pixels - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
        :, None, None
    ]
    with torch.no_grad():
        expected = network.eval()(pixels).numpy()
    found = features_of(loaded("resnet18", str(weights)), [images[0], images[1]])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert features_of(loaded("resnet18", str(weights)), images[:, :, :, 0]).shape == (2, 512)  # grey


def test_a_last_layer_that_is_a_convolution(tmp_path):
    torch.save(models.squeezenet1_1(num_classes=4).state_dict(), tmp_path / "teacher.pt")
    images, _ = pictures(2)
    assert features_of(loaded("squeezenet1_1", str(tmp_path / "teacher.pt")), images).shape == (2, 512)


def test_what_is_no_teacher_is_one_line(weights, tmp_path):
    with pytest.raises(UserError, match=r"teacher:resnet19: torchvision\.models has no 'resnet19'; did you mean"):
        check_names(["teacher:resnet19"], str(weights))
    with pytest.raises(UserError, match=r"^teacher_weights=nowhere\.pt: No such file or directory$"):
        check_names(["teacher:resnet18"], "nowhere.pt")
    (tmp_path / "other.pt").write_bytes(b"not weights")
    with pytest.raises(UserError, match="no weights of torchvision's resnet18"):
        loaded("resnet18", str(tmp_path / "other.pt"))


def test_difficulty_by_features_is_by_the_margin_left_out():
    draw = np.random.default_rng(0)
    labels = draw.integers(3, size=300)
    features = np.eye(3)[labels] + 0.3 * draw.normal(size=(300, 3))
    features[7] = [0, 0, 0] + np.eye(3)[(labels[7] + 1) % 3]
    values = difficulty_by_features(features, labels, ridge=1)
    assert values[7] > 0.98 and sorted(values) == [(i + 0.5) / 300 for i in range(300)]
    shifted = difficulty_by_features(features.astype(np.float64) * 1e-6 + 1000, labels, ridge=1)
    assert np.corrcoef(values, shifted)[0, 1] > 0.999  # whatever the unit and the offset
    with pytest.raises(ValueError, match="features must be finite numbers"):
        difficulty_by_features(np.full((3, 2), np.nan), np.arange(3))
