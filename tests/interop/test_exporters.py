"""Every export format fulfills the interface; a new format is checked as soon as it exists."""

import io
import runpy
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tinysight._util import optional_deps
from tinysight._util.errors import InputError, ModelError, StorageError
from tinysight.data.sources import shapes
from tinysight.interop.exporters import exporter_names, get_exporter
from tinysight.models.classifier import Classifier, ClassifierSpec
from tinysight.models.registry import family_of
from tinysight.recipes.schema import ModelSection
from tinysight.runs.run import Run

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised inside Keras


@pytest.fixture(params=exporter_names())
def exporter(request):
    """Every format whose package is installed."""
    exporter = get_exporter(request.param)
    pytest.importorskip(exporter.package)
    return exporter


def expected_prints(classifier, probabilities):
    """Return what the example program prints last: the predicted classes of an image with their probabilities."""
    if classifier.task == "multi-label":
        chosen = np.flatnonzero(probabilities >= np.array(classifier.thresholds))
    else:
        chosen = [probabilities.argmax()]
    return {classifier.class_names[index]: pytest.approx(probabilities[index], abs=1e-4) for index in chosen}


def check_exporter(exporter, classifier, run, images=3):
    """The example program, run by `run` in the current directory, gives the classifier's predictions."""
    path = Path("exported")
    exporter.export(classifier, path)
    assert list(Path().iterdir()) == [path]
    pixels = shapes.render_shapes(images, seed=4, size=classifier.image_size).pixels
    for image, expected in zip(pixels, classifier.probabilities(pixels), strict=True):
        Image.fromarray(image.transpose(1, 2, 0)).save("cat.jpg", format="png")
        lines = [line.split() for line in run(exporter.usage(path, classifier)).splitlines()]
        printed = {words[-2]: float(words[-1]) for words in lines if {*words[-2:-1]} & {*classifier.class_names}}
        assert printed == expected_prints(classifier, expected)
    with pytest.raises(StorageError, match=r"exported: already exists\. Choose another path"):
        exporter.export(classifier, path)


def run_alone(program):
    """Run a program in a new process, without this package's modules in memory; return what it prints."""
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def run_here(program):
    """Run a program in this process, which has imported the packages already; return what it prints."""
    Path("program.py").write_text(program, encoding="utf-8")
    with redirect_stdout(io.StringIO()) as printed:
        runpy.run_path("program.py")
    return printed.getvalue()


def test_exported_run_stands_alone(exporter, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_exporter(exporter, Run(trained).classifier(), run_alone, images=1)


def test_every_family_is_exported_to_every_format(exporter, classifier, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if family_of(classifier.spec.model).is_frozen:
        with pytest.raises(ModelError, match=r"export: the features of this run come from an ONNX file of yours"):
            exporter.export(classifier, tmp_path / "model")
        return
    if exporter.name == "keras" and not family_of(classifier.spec.model).has_standard_layers:
        with pytest.raises(ModelError, match=r"has no equivalent among the standard layers\. Export to onnx\."):
            exporter.export(classifier, tmp_path / "model")
        return
    check_exporter(exporter, classifier, run_here)


def test_several_labels_are_exported_to_every_format(exporter, multi_label, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = shapes.render_shapes(4, seed=4, size=multi_label.image_size).pixels
    counts = (multi_label.probabilities(pixels) >= np.array(multi_label.thresholds)).sum(1)
    assert len(set(counts.tolist())) > 1
    check_exporter(exporter, multi_label, run_here, images=4)


def test_names_are_those_of_the_exporters_and_default_paths_differ(tmp_path):
    exporters = [get_exporter(name) for name in exporter_names()]
    assert {"keras", "onnx"} <= set(exporter_names())
    assert [exporter.name for exporter in exporters] == exporter_names()
    paths = {exporter.default_path(tmp_path / "run.1") for exporter in exporters}
    assert len(paths) == len(exporters)
    assert {path.parent for path in paths} == {tmp_path}
    assert all(path.name.startswith("run.1") for path in paths)


def test_missing_package_is_named_with_its_extra(exporter, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(optional_deps, "version", lambda name: None)
    with pytest.raises(InputError, match=rf"{exporter.package}: not installed\. Run pip install .*\[{exporter.name}\]"):
        exporter.export(Run(trained).classifier(), tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_unknown_format_is_rejected_with_a_suggestion():
    with pytest.raises(InputError, match=r"unknown format 'onx'\. Did you mean 'onnx'"):
        get_exporter("onx")


def test_registry_of_formats_imports_none_of_them():
    program = (
        "import sys, tinysight.interop.exporters as e; e.exporter_names(); print({'torch', 'keras'} & {*sys.modules})"
    )
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "set()"


class Custom(torch.nn.Module):
    """A user's network with an operation that has no standard layer."""

    def __init__(self, num_classes):
        super().__init__()
        self.convolution, self.output = torch.nn.Conv2d(3, 4, 3, 2, padding=1), torch.nn.Linear(4, num_classes)

    def forward(self, images):
        return self.output(torch.sin(self.convolution(images)).mean((2, 3)))


@pytest.fixture
def custom():
    torch.manual_seed(0)
    values = {"class_names": ("a", "b"), "image_size": 16, "mean": (9.0, 8.0, 7.0), "std": (5.0, 6.0, 7.0)}
    spec = ClassifierSpec(model=ModelSection(architecture="custom"), temperature=0.3, **values)
    return Classifier(spec, Custom(2))


def test_custom_network_is_exported_to_onnx(custom, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    check_exporter(get_exporter("onnx"), custom, run_here)
    from tinysight.interop.onnx.runtime import OnnxFile

    pixels = shapes.render_shapes(20, seed=4, size=16).pixels
    probabilities = OnnxFile(tmp_path / "exported").classifier().probabilities(pixels)
    assert np.abs(probabilities - custom.probabilities(pixels)).max() < 1e-4


def test_custom_network_without_standard_layers_is_not_exported_to_keras(custom, tmp_path):
    pytest.importorskip("keras")
    with pytest.raises(ModelError, match=r"has no equivalent standard layer\. Export to onnx"):
        get_exporter("keras").export(custom, tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []
