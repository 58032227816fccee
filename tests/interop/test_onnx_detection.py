"""OOD scores of an exported ONNX file: those of the classifier, for every family, crop and view."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.models.test_family import network_of
from tinysight.data.crops import SIX_CROP
from tinysight.data.image_io import to_crops
from tinysight.data.sources import shapes
from tinysight.interop.exporters import ExportOptions, Int8Images
from tinysight.interop.onnx.exporter import EXPORTER
from tinysight.interop.onnx.runtime import OnnxFile
from tinysight.models.classifier import Classifier, ClassifierSpec
from tinysight.models.network import logits_and_embedding
from tinysight.models.ood import OodDetector
from tinysight.models.predictor import Outputs
from tinysight.models.registry import family_of
from tinysight.recipes.schema import ModelSection
from tinysight.runs.run import Run

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def classifier(detecting):
    return Run(detecting).classifier().with_spec(bf16_margin=None)


@pytest.fixture(scope="module")
def pixels():
    return shapes.render_shapes(40, seed=5)


def exported(classifier, folder, options=None):
    EXPORTER.export(classifier, folder / "model.onnx", options or ExportOptions())
    return OnnxFile(folder / "model.onnx").classifier()


def with_detector(model, network, size=32):
    """Return a classifier whose detector stores the embeddings of noise."""
    spec = ClassifierSpec(model=model, class_names=("a", "b", "c"), image_size=size, temperature=0.3)
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (30, 3, size, size), np.uint8)).float()
    with torch.inference_mode():
        logits, features = logits_and_embedding(network.eval(), spec.normalization(noise))
    detector = OodDetector.fit(features, logits, "multi-class")
    return replace(Classifier(spec, network), detector=detector).with_spec(ood_threshold=-1.0)


def test_scores_and_marks_are_those_of_the_classifier(classifier, pixels, tmp_path):
    expected = classifier.outputs(pixels.pixels)
    middle = float(np.sort(expected.ood_scores)[19:21].mean())
    opened = exported(classifier.with_spec(ood_threshold=middle), tmp_path)
    assert opened.ood_threshold == middle
    assert opened.outputs(pixels.pixels).ood_scores == pytest.approx(expected.ood_scores, rel=1e-4)
    assert opened.outputs(pixels.pixels[:0]).ood_scores.shape == (0,)
    images = pixels.pixels.transpose(0, 2, 3, 1)
    scores, marks = opened.session.run(["ood_scores", "unlike_training"], {"images": images})
    assert marks.tolist() == (scores > middle).tolist()
    assert marks.sum() == 20
    session = opened.session
    descriptions = json.loads(session.get_modelmeta().custom_metadata_map["outputs"])
    assert list(descriptions) == [node.name for node in session.get_outputs()]
    assert list(descriptions) == ["probabilities", "unsure", "ood_scores", "unlike_training"]


def test_a_classifier_without_a_detector_has_no_scores(classifier, pixels, tmp_path):
    opened = exported(replace(classifier, detector=None).with_spec(ood_threshold=None), tmp_path)
    assert [node.name for node in opened.session.get_outputs()] == ["probabilities", "unsure"]
    assert opened.ood_threshold is None
    assert np.isnan(opened.outputs(pixels.pixels).ood_scores).all()


def test_scores_of_large_images_are_averaged_over_the_crops(classifier, tmp_path):
    six = classifier.with_spec(crops=SIX_CROP)
    opened = exported(six, tmp_path)
    image = np.random.default_rng(1).integers(0, 256, (90, 70, 3), np.uint8)
    (score,) = opened.session.run(["ood_scores"], {"images": image[None]})[0]
    expected = Outputs.over_crops(six.outputs, to_crops([image], 32, SIX_CROP))
    assert score == pytest.approx(expected.ood_scores[0], rel=1e-4)


def test_scores_do_not_use_the_views_of_test_time_augmentation(classifier, pixels, tmp_path):
    augmented = classifier.with_spec(tta_shift=1)
    opened = exported(augmented, tmp_path, ExportOptions(tta=True))
    expected = augmented.outputs(pixels.pixels, tta=True)
    assert opened.outputs(pixels.pixels).probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    assert opened.outputs(pixels.pixels).ood_scores == pytest.approx(expected.ood_scores, rel=1e-4)


def test_every_family_has_the_same_scores(family_model, pixels, tmp_path):
    model = family_model(3)
    if family_of(model).is_frozen:
        pytest.skip("it is not exported")
    source = with_detector(model, network_of(family_of(model), model, 3, 32))
    scores, expected = (each.outputs(pixels.pixels).ood_scores for each in (exported(source, tmp_path), source))
    assert scores == pytest.approx(expected, rel=1e-4)
    assert (expected < -0.1).all()  # it is 0 for an embedding of zeros


def test_scores_of_several_labels_are_those_of_the_classifier(pixels, tmp_path):
    model = ModelSection(architecture="fast", stem_stride=1, channels=[8, 16, 16])
    source = with_detector(model, network_of(family_of(model), model, 3, 32))
    labels = replace(source, detector=replace(source.detector, task="multi-label"))
    labels = labels.with_spec(task="multi-label", thresholds=(0.5, 0.5, 0.5))
    opened = exported(labels, tmp_path)
    assert [node.name for node in opened.session.get_outputs()][1:] == ["labels", "ood_scores", "unlike_training"]
    assert opened.outputs(pixels.pixels).ood_scores == pytest.approx(labels.outputs(pixels.pixels).ood_scores, rel=1e-4)


class WithoutFeatures(torch.nn.Module):
    """A user's network: its embedding is the input of the last linear layer."""

    def __init__(self):
        super().__init__()
        self.convolution, self.output = torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.Linear(8, 3)

    def forward(self, images):
        return self.output(self.convolution(images).relu().mean((2, 3)))


class WithFeatures(WithoutFeatures):
    """A user's network with a method for its embedding, which differs from that input."""

    def features(self, images):
        return self.convolution(images).amax((2, 3))


@pytest.mark.parametrize("network", [WithoutFeatures, WithFeatures])
def test_a_users_own_network_has_the_same_scores(network, pixels, tmp_path):
    torch.manual_seed(0)
    source = with_detector(ModelSection(architecture="custom"), network())
    opened = exported(source, tmp_path)
    assert opened.outputs(pixels.pixels).ood_scores == pytest.approx(source.outputs(pixels.pixels).ood_scores, rel=1e-3)


def test_thresholds_of_a_quantized_file_fit_its_own_outputs(classifier, pixels, tmp_path):
    options = ExportOptions(int8=Int8Images(pixels.pixels, pixels))
    opened = exported(classifier.with_spec(set_threshold=0.5), tmp_path, options)
    outputs = opened.outputs(pixels.pixels)
    assert not np.array_equal(outputs.ood_scores, classifier.outputs(pixels.pixels).ood_scores)
    assert opened.ood_threshold == pytest.approx(np.sort(outputs.ood_scores)[39 - 1], rel=1e-5)
    of_true_class = np.sort(outputs.probabilities[np.arange(40), pixels.labels])
    assert opened.set_threshold == pytest.approx(of_true_class[40 - 39], abs=1e-6)
