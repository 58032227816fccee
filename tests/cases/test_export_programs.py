"""Case A4: the program that `export` prints answers as `predict` does, on images as phones and scanners store them."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

import tinysight as ts
from tinysight.data.crops import SIX_CROP
from tinysight.interop.exporters import get_exporter

os.environ.setdefault("KERAS_BACKEND", "torch")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised inside Keras


def scene(seed, width=96, height=64):
    """A smooth image, one half of which is bright, with an orientation that matters."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (4, 6, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).copy()
    pixels[: height // 2] //= 3
    return Image.fromarray(pixels)


def with_orientation(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def with_alpha(image):
    width, height = image.size
    ramp = Image.fromarray(np.linspace(0, 255, width, dtype=np.uint8)[None].repeat(height, 0))
    image.putalpha(ramp)
    return image


def sixteen_bits(image):
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def twelve_bits(image):
    """The image in gray with values up to 4,095, as many cameras and scanners write them."""
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 16)


def palette(image):
    reduced = image.quantize(16)
    reduced.info["transparency"] = 3
    return reduced


IMAGES = {
    **{
        f"orientation {number}": lambda path, number=number: scene(number).save(
            path, "JPEG", exif=with_orientation(number), quality=95
        )
        for number in range(1, 9)
    },
    "orientation of a PNG": lambda path: scene(9).save(path, "PNG", exif=with_orientation(6)),
    "large": lambda path: scene(10, 1200, 800).save(path, "JPEG"),
    "wide": lambda path: scene(11, 300, 40).save(path, "PNG"),
    "tall": lambda path: scene(12, 40, 300).save(path, "PNG"),
    "small": lambda path: scene(13, 20, 17).save(path, "PNG"),
    "exact": lambda path: scene(14, 32, 32).save(path, "PNG"),
    "alpha": lambda path: with_alpha(scene(15)).save(path, "PNG"),
    "alpha and orientation": lambda path: with_alpha(scene(16)).save(path, "PNG", exif=with_orientation(8)),
    "gray with alpha": lambda path: with_alpha(scene(17).convert("L")).save(path, "PNG"),
    "WebP with alpha": lambda path: with_alpha(scene(18)).save(path, "WEBP", lossless=True),
    "palette": lambda path: palette(scene(19)).save(path, "PNG"),
    "gray": lambda path: scene(20).convert("L").save(path, "JPEG"),
    "CMYK": lambda path: scene(21).convert("CMYK").save(path, "JPEG"),
    "16 bits": lambda path: sixteen_bits(scene(22)).save(path, "PNG"),
    "12 bits": lambda path: twelve_bits(scene(22)).save(path, "PNG"),
    "12 bits with a transparent gray": lambda path: twelve_bits(scene(24)).save(path, "PNG", transparency=512),
    "16 bits with orientation": lambda path: sixteen_bits(scene(23)).save(path, "PNG", exif=with_orientation(3)),
    "black and white": lambda path: scene(24).convert("1").save(path, "PNG"),
}


@pytest.fixture(scope="module", params=["onnx", "keras"])
def exporter(request):
    exporter = get_exporter(request.param)
    pytest.importorskip(exporter.package)
    pytest.importorskip("onnxruntime" if request.param == "onnx" else "keras")
    return exporter


@pytest.fixture(scope="module")
def exported(request, exporter, trained, tmp_path_factory):
    """A run, and the program that is printed for its export."""
    folder = tmp_path_factory.mktemp("exported")
    run = ts.Run.open(shutil.copytree(trained, folder / "run"))
    crops = SIX_CROP if request.param == "six crops" else run.classifier().crops[:1]
    run.write_classifier(run.classifier().with_spec(crops=crops, bf16_margin=None))
    path = ts.export(run, exporter.name, folder / "model")
    return run, exporter.usage(path, run.classifier())


@pytest.mark.parametrize("exported", ["center crop"], indirect=True)
@pytest.mark.parametrize("name", IMAGES)
def test_a4_printed_program_answers_as_predict_does(name, exported, tmp_path, monkeypatch, capsys):
    check_program(name, exported, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("exported", ["six crops"], indirect=True)
@pytest.mark.parametrize("name", ["orientation 6", "large", "wide", "small", "exact", "alpha and orientation"])
def test_a4_printed_program_averages_over_the_crops_of_the_classifier(name, exported, tmp_path, monkeypatch, capsys):
    check_program(name, exported, tmp_path, monkeypatch, capsys)


def check_program(name, exported, tmp_path, monkeypatch, capsys):
    run, program = exported
    monkeypatch.chdir(tmp_path)
    IMAGES[name]("cat.jpg")
    capsys.readouterr()
    exec(program, {})  # noqa: S102  the program is what is tested
    label, probability = capsys.readouterr().out.split()[-2:]
    predictions = ts.predict(run, ["cat.jpg"])
    assert label == predictions.labels[0]
    assert float(probability) == pytest.approx(predictions.probabilities.max(), abs=1e-3)


def test_a4_orientation_and_transparency_decide_the_answer(trained, tmp_path):
    """The images above would not be told apart from wrong programs if the network ignored what these change."""
    run = ts.Run.open(trained)
    for name in ("orientation 6", "orientation 3", "alpha", "wide"):
        IMAGES[name](tmp_path / "image")
        right = ts.predict(run, [tmp_path / "image"]).probabilities[0]
        with Image.open(tmp_path / "image") as image:
            plain = np.asarray(image.convert("RGB").resize((32, 32)) if name == "wide" else image.convert("RGB"))
        wrong = ts.predict(run, [Image.fromarray(plain)]).probabilities[0]
        assert np.abs(wrong - right).max() > 2e-3, name
