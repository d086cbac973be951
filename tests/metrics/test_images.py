"""Reading image files of every kind, and luminance."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from metrics import luminance, read_image

GREY = np.arange(0, 240, 2, dtype=np.uint8).reshape(10, 12)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("pixels", [GREY, COLOUR])
@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_eight_bit_files_come_back_unchanged(tmp_path, pixels, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    read = read_image(saved(tmp_path / f"image.{suffix}", Image.fromarray(pixels), **options))
    assert read.dtype == np.uint8
    if suffix == "webp" and pixels.ndim == 2:  # webp knows no grey
        pixels = np.stack([pixels] * 3, axis=2)
    np.testing.assert_array_equal(read, pixels)


def test_black_and_white_is_0_and_255(tmp_path):
    bits = GREY > 100
    read = read_image(saved(tmp_path / "bits.png", Image.fromarray(bits)))
    np.testing.assert_array_equal(read, np.where(bits, 255, 0))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_keeps_the_high_byte(tmp_path, suffix):
    wide = GREY.astype(np.uint16) * 256 + GREY[::-1]
    read = read_image(saved(tmp_path / f"wide.{suffix}", Image.fromarray(wide)))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, GREY)


def test_32_bit_integers_are_read_only_if_they_fit_16_bits(tmp_path):
    fits = saved(tmp_path / "fits.tif", Image.fromarray(GREY.astype(np.int32) * 257))
    np.testing.assert_array_equal(read_image(fits), GREY)
    for value in (65536, -1):
        wide = np.full((4, 4), value, np.int32)
        with pytest.raises(ValueError, match=rf"wide\.tif.*{value}"):
            read_image(saved(tmp_path / "wide.tif", Image.fromarray(wide)))


@pytest.mark.parametrize(
    ("shape", "dtype", "more", "told"),
    [
        ((8, 8), "f8", {}, "a TIFF of 1 band of floating-point values of 64 bits is not read"),
        ((8, 8), "f8", {"bigtiff": True}, "a TIFF of 1 band of floating-point values of 64 bits is not read"),
        ((8, 8, 3), "f4", {"photometric": "rgb"}, "a TIFF of 3 bands of floating-point values of 32 bits is not read"),
        ((8, 8, 5), "u1", {"photometric": "minisblack", "planarconfig": "contig"}, "a TIFF of 5 bands of whole values of 8 bits"),
        ((8, 8), "c8", {}, "a TIFF of 1 band of complex values of 64 bits is not read"),
    ],
)  # fmt: skip
def test_a_kind_that_is_not_read_is_not_called_damaged(tmp_path, shape, dtype, more, told):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros(shape, dtype), **more)
    with pytest.raises(ValueError, match=re.escape(told)):
        read_image(tmp_path / "x.tif")
    (tmp_path / "x.tif").write_bytes((tmp_path / "x.tif").read_bytes()[:40])
    with pytest.raises(ValueError, match="or is damaged"):
        read_image(tmp_path / "x.tif")


def test_floating_point_pixels_are_refused(tmp_path):
    path = saved(tmp_path / "real.tif", Image.fromarray(GREY.astype(np.float32)))
    with pytest.raises(ValueError, match=r"real\.tif.*floating-point"):
        read_image(path)


def test_transparency_is_composited_over_white(tmp_path):
    alpha = np.zeros_like(GREY)
    alpha[:, 4:8], alpha[:, 8:] = 128, 255
    expected = np.rint(GREY * (alpha / 255.0) + 255 * (1 - alpha / 255.0))
    grey = read_image(saved(tmp_path / "la.png", Image.fromarray(np.stack([GREY, alpha], axis=2), "LA")))
    assert grey.shape == GREY.shape
    np.testing.assert_allclose(grey, expected, atol=1)
    assert (grey[:, :4] == 255).all()
    np.testing.assert_array_equal(grey[:, 8:], GREY[:, 8:])

    colour = read_image(saved(tmp_path / "rgba.png", Image.fromarray(np.dstack([COLOUR, alpha]))))
    assert colour.shape == COLOUR.shape
    assert (colour[:, :4] == 255).all()
    np.testing.assert_array_equal(colour[:, 8:], COLOUR[:, 8:])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_a_large_image_is_converted_in_strips(tmp_path, monkeypatch, mode):
    """Whole, a picture of 88 megapixels with transparency would take 1.9 GB on the way."""
    alpha = Image.fromarray(np.stack([*np.moveaxis(COLOUR, 2, 0), GREY], axis=2), "RGBA")
    options = {"transparency": 7} if mode == "P" else {}
    suffix = "tif" if mode == "CMYK" else "png"
    path = saved(
        tmp_path / f"image.{suffix}",
        alpha.convert("RGB").convert(mode) if mode in ("P", "CMYK") else alpha.convert(mode),
        **options,
    )
    whole = read_image(path)
    monkeypatch.setattr("metrics.images.LARGEST_STRIP", 37)  # three of the rows at a time
    assert len(np.unique(whole)) > 1
    np.testing.assert_array_equal(read_image(path), whole)


def test_a_file_of_thousands_of_scans_is_refused(tmp_path):
    """It is small, and each scan takes as long as the whole image: 3,000 decoded for 20 s."""
    path = saved(tmp_path / "image.jpg", Image.fromarray(COLOUR), progressive=True)
    assert read_image(path).shape == COLOUR.shape
    content = path.read_bytes()
    last = content[content.rindex(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + 3000 * last + b"\xff\xd9")
    with pytest.raises(ValueError, match=r"3\d\d\d scans are more than the 100 allowed"):
        read_image(path)


def test_scans_behind_the_end_of_the_image_do_not_count(tmp_path):
    """A phone's moving picture: a film of millions of bytes behind the photograph, in which the two bytes of a scan occur by chance."""
    path = saved(tmp_path / "image.jpg", Image.fromarray(COLOUR), progressive=True)
    alone = read_image(path)
    path.write_bytes(path.read_bytes() + 200 * b"\xff\xda\x00film")
    np.testing.assert_array_equal(read_image(path), alone)


def test_scans_that_hide_in_a_mark_without_a_length_count(tmp_path):
    """libjpeg reads no length behind such a mark, and goes on with the scans that seem to lie within it."""
    path = saved(tmp_path / "image.jpg", Image.fromarray(COLOUR), progressive=True)
    content = path.read_bytes()
    last = content[content.rindex(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + b"\xff\x02\xff\xff" + 200 * last + b"\xff\xd9")
    with pytest.raises(ValueError, match="scans are more than the 100 allowed"):
        read_image(path)


@pytest.mark.parametrize(("kind", "key", "clear"), [("grey", b"\x12\x34", 255), ("colour", 3 * b"\x12\x34", [255] * 3)])
def test_a_colour_of_16_bits_made_transparent_becomes_white(tmp_path, kind, key, clear):
    other = [200] if kind == "grey" else [200, 10, 30]
    row = b"\x00" + key + b"".join(bytes([value, 7]) for value in other)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 0 if kind == "grey" else 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"tRNS", key) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    assert read_image(tmp_path / "deep.png").tolist() == [[clear, other[0] if kind == "grey" else other]]


def test_palettes_are_looked_up(tmp_path):
    indices = (GREY > 100).astype(np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    opaque = read_image(saved(tmp_path / "opaque.png", image))
    np.testing.assert_array_equal(opaque, np.array([[10, 20, 30], [200, 100, 50]])[indices])
    clear = read_image(saved(tmp_path / "clear.png", image, transparency=0))
    np.testing.assert_array_equal(clear, np.array([[255, 255, 255], [200, 100, 50]])[indices])
    gif = read_image(saved(tmp_path / "opaque.gif", image))
    np.testing.assert_array_equal(gif, opaque)


def test_a_colour_made_transparent_becomes_white(tmp_path):
    path = saved(tmp_path / "key.png", Image.fromarray(COLOUR), transparency=tuple(int(v) for v in COLOUR[0, 0]))
    read = read_image(path)
    assert read[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(read[1], COLOUR[1])


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk_is_ink_on_white(tmp_path, suffix):
    inks = np.zeros((16, 48, 4), np.uint8)
    inks[:, :16], inks[:, 16:32], inks[:, 32:] = (255, 0, 0, 0), (0, 0, 0, 255), (0, 255, 255, 0)
    read = read_image(saved(tmp_path / f"inks.{suffix}", Image.fromarray(inks, "CMYK")))
    assert read.shape == (16, 48, 3)
    for column, colour in ((8, (0, 255, 255)), (24, (0, 0, 0)), (40, (255, 0, 0))):
        np.testing.assert_allclose(read[8, column].astype(int), colour, atol=3)


def test_the_first_frame_is_read(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    path = saved(tmp_path / "frames.tif", frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(path), GREY)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "bmp"])
@pytest.mark.parametrize("kept", [0.5, 0.05, 0.0])
def test_truncated_files_are_one_value_error_that_names_the_file(tmp_path, suffix, kept, photographs):
    path = saved(tmp_path / f"cut.{suffix}", Image.fromarray(np.ascontiguousarray(photographs[0])))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"cut\.{suffix}"):
        read_image(path)


def test_a_text_is_no_image(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("not an image\n" * 20)
    with pytest.raises(ValueError, match=r"notes\.png"):
        read_image(path)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")
@settings(max_examples=150)
@given(
    kind=st.sampled_from(["png", "jpg", "gif", "tif", "bmp"]),
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_damaged_files_give_an_image_or_a_value_error(kind, damage, tmp_path_factory):
    path = saved(tmp_path_factory.getbasetemp() / f"damaged.{kind}", Image.fromarray(COLOUR))
    content = bytearray(path.read_bytes())
    for place, value in damage:
        content[int(place * len(content))] = value
    path.write_bytes(content)
    try:
        read = read_image(path)
    except ValueError as error:
        assert "damaged" in str(error)
    else:
        assert read.dtype == np.uint8 and read.ndim in (2, 3)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [12, 15])  # Pillow itself warns of the first and refuses the second
def test_image_bombs_are_refused(tmp_path, monkeypatch, side):
    path = saved(tmp_path / "bomb.png", Image.new("L", (side, side)))
    assert read_image(path).shape == (side, side)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"bomb\.png"):
        read_image(path)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_that_states(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def gif_with_a_frame_of(width: int, height: int) -> bytes:
    content = bytearray(encoded("GIF"))
    frame = content.index(b",")
    content[frame + 5 : frame + 9] = struct.pack("<HH", width, height)
    return bytes(content)


def tiff_that_states(width: int, height: int) -> bytes:
    content = encoded("TIFF")
    for tag, side in ((256, width), (257, height)):
        before = (
            struct.pack("<HHI", tag, 4, 1)
            if struct.pack("<HHI", tag, 4, 1) in content
            else struct.pack("<HHI", tag, 3, 1)
        )
        place = content.index(before)
        content = content[:place] + struct.pack("<HHII", tag, 4, 1, side) + content[place + 12 :]
    return content


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("P" if kind == "GIF" else "L", (8, 8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("state", [png_that_states, gif_with_a_frame_of, tiff_that_states])
@pytest.mark.parametrize(
    "size", [(10_000, 9_500), (60_000, 60_000)]
)  # Pillow warns of the first and refuses the second
def test_a_small_file_that_states_a_huge_size_is_refused_for_that(tmp_path, state, size):
    path = tmp_path / "bomb.image"
    path.write_bytes(state(*size))
    assert path.stat().st_size < 1000
    with pytest.raises(ValueError, match=r"bomb\.image.*pixels"):
        read_image(path)


@pytest.mark.parametrize("kind", ["EPS", "TGA", "JPEG2000", "ICO"])
def test_other_formats_are_refused_whatever_the_name(tmp_path, kind):
    """Pillow would give PostScript to Ghostscript."""
    path = tmp_path / "photograph.png"
    Image.fromarray(COLOUR).save(path, kind)
    with pytest.raises(ValueError, match=r"photograph\.png.*it is not PNG, JPEG, GIF"):
        read_image(path)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(IsADirectoryError):
        read_image(tmp_path)


def test_luminance_is_added_from_left_to_right():
    values = np.array([0, 1, 3, 77, 128, 200, 255], np.uint8)
    image = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(49, 7, 3)
    red, green, blue = (image[..., c].astype(np.float64) for c in range(3))
    left_to_right = (0.2989 * red + 0.5870 * green) + 0.1140 * blue
    assert (left_to_right != 0.2989 * red + (0.5870 * green + 0.1140 * blue)).any()  # else the test shows nothing
    np.testing.assert_array_equal(luminance(image), left_to_right)
    assert np.unique(luminance(np.arange(256, dtype=np.uint8).reshape(16, 16))).size == 256


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_seen_as_the_camera_was_held(tmp_path, suffix, orientation):
    """As Pillow turns them."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if suffix in ("jpg", "webp") else {}
    path = saved(tmp_path / f"turned.{suffix}", Image.fromarray(COLOUR), exif=exif, **options)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(read_image(path), expected)
    assert read_image(path).shape[:2] == (GREY.shape if orientation < 5 else GREY.shape[::-1])


def test_damaged_exif_does_not_cost_the_image(tmp_path):
    path = saved(tmp_path / "x.jpg", Image.fromarray(COLOUR), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01", quality=100)
    assert read_image(path).shape == COLOUR.shape


def test_what_libtiff_finds_wrong_is_an_error_and_not_printed(tmp_path, capfd):
    """It goes on after bad code words of fax compression, with wrong pixels, and prints a line for each."""
    path = tmp_path / "fax.tif"
    Image.fromarray(np.random.default_rng(0).random((40, 40)) < 0.5).save(path, compression="group4")
    whole = read_image(path)
    content = bytearray(path.read_bytes())
    directory = int.from_bytes(content[4:8], "little")
    for place in np.random.default_rng(1).choice(directory - 12, 12) + 8:
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"fax.tif': Fax4Decode: Bad code word at line \.\.\. of"):
        read_image(path)
    assert whole.shape == (40, 40) and capfd.readouterr() == ("", "")
