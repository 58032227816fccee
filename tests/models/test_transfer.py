"""Transfer of weights between networks for the same or other classes."""

import pytest
import torch

from tinysight._util.errors import ModelError
from tinysight.models.registry import FAMILIES, build_network
from tinysight.models.transfer import InitialWeights, transfer_weights
from tinysight.recipes.schema import ModelSection


@pytest.fixture
def build(family_model):
    """A function that builds a network of each family for a number of classes, with random weights everywhere."""

    def network(classes, size=16, seed=0):
        torch.manual_seed(seed)
        model = family_model(classes)
        built = FAMILIES[model.architecture].build(model, classes, size)
        for tensor in built.state_dict().values():
            if tensor.is_floating_point():
                tensor.normal_().abs_()  # a variance is not negative
        return built

    return network


def initial(network, names):
    return InitialWeights(network.state_dict(), tuple(names))


def head(network):
    """The weight of the last layer, (classes, features)."""
    return list(network.state_dict().values())[-2 if "bias" in list(network.state_dict())[-1] else -1]


def test_same_classes_copy_every_tensor(build):
    trained, fresh = build(3), build(3, seed=1)
    weights = transfer_weights(initial(trained, "abc"), fresh, "abc")
    assert weights.keys() == trained.state_dict().keys()
    assert all(torch.equal(tensor, trained.state_dict()[name]) for name, tensor in weights.items())


def test_classes_are_matched_by_name_and_new_ones_stay_fresh(build):
    trained, fresh = build(3), build(4, seed=1)
    before = head(fresh).clone()
    fresh.load_state_dict(transfer_weights(initial(trained, "abc"), fresh, ["c", "new", "a", "b"]))
    assert torch.equal(head(fresh)[[2, 3, 0]], head(trained))
    assert torch.equal(head(fresh)[1], before[1])


def test_permuted_classes_give_permuted_logits(build):
    trained, fresh = build(3).eval(), build(3, seed=1).eval()
    fresh.load_state_dict(transfer_weights(initial(trained, "abc"), fresh, "bca"))
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(fresh(images), trained(images)[:, [1, 2, 0]])


def test_fewer_classes_keep_their_rows(build):
    trained, fresh = build(3), build(2, seed=1)
    fresh.load_state_dict(transfer_weights(initial(trained, "abc"), fresh, "cb"))
    assert torch.equal(head(fresh), head(trained)[[2, 1]])


def test_the_given_weights_are_not_changed(build):
    trained, fresh = build(3), build(3, seed=1)
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    fresh.load_state_dict(transfer_weights(initial(trained, "abc"), fresh, "xyz"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.state_dict().items())


def test_another_architecture_is_refused():
    other, own = (build_network(ModelSection(architecture=name), 3, 32) for name in ("simple", "deep"))
    with pytest.raises(
        ModelError, match=r"^Initial weights: belong to a network of a different architecture\. Use the model"
    ):
        transfer_weights(initial(other, "abc"), own, "abc")


@pytest.mark.parametrize("names", ["abc", "abd"])
def test_another_image_size_is_refused(names):
    small, large = (build_network(ModelSection(architecture="simple"), 3, size) for size in (16, 32))
    with pytest.raises(ModelError, match=r"size\. Use the model"):
        transfer_weights(initial(small, "abc"), large, names)
