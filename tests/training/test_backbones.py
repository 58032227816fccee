"""Every family with published weights as a backbone: from its file to a run that stands alone."""

from dataclasses import dataclass, replace

import pytest
import torch

import tinysight as ts
from tinysight.models.network import embed
from tinysight.models.pretrained import HubFile
from tinysight.models.registry import FAMILIES

HUB_FAMILIES = [
    name for name, family in FAMILIES.items() if family.pretrained and isinstance(family.pretrained.source, HubFile)
]
DATA = "shapes:train=60,test=20"


@dataclass(frozen=True)
class Memory:
    """A file of weights that needs no hub."""

    tensors: dict
    sha256: str = "0" * 64

    def check(self):
        pass

    def read(self):
        return self.tensors

    def describe(self):
        return "a test"


@pytest.fixture(params=HUB_FAMILIES)
def family(request, monkeypatch, published_tensors):
    """A family whose weights come from the hub, with random weights in their place."""
    family = FAMILIES[request.param]
    weights = replace(family.pretrained, source=Memory(published_tensors(family, 224)))
    monkeypatch.setattr(type(family), "pretrained", weights)
    return family


def test_probe_of_a_backbone_is_a_run_that_stands_alone(family, tmp_path):
    overrides = [f"model.backbone={family.name}", "data.image_size=64"]
    run = ts.train("probe", DATA, out=tmp_path / "run", overrides=overrides, precision="fp32")
    tensors, classifier = family.pretrained.source.tensors, run.classifier()
    assert classifier.spec.mean == family.pretrained.mean
    network = classifier.network.eval()
    family.load_tensors(network, tensors)  # changes nothing but the tensors that training may have changed
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(embed(network, images), embed(run.classifier().network.eval(), images))
    assert ts.evaluate(run).n == 20
    assert f"published weights of {family.name}, from a test (license: Apache-2.0)" in ts.card(run).to_markdown()


def test_finetuning_changes_the_features_of_a_backbone(family, tmp_path):
    overrides = [f"model.backbone={family.name}", "data.image_size=32", "early_stopping.restore_best_weights=false"]
    run = ts.train("finetune", DATA, out=tmp_path / "run", overrides=overrides, epochs=3, precision="fp32")
    network, images = run.classifier().network.eval(), torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        after = embed(network, images)
        family.load_tensors(network, family.pretrained.source.tensors)
        assert not torch.allclose(embed(network, images), after)
