"""Explanations of files and test images: classes, maps, neighbors and refused input."""

import numpy as np
import pytest

from tinysight._util.errors import InputError
from tinysight.data.image_io import read_image
from tinysight.explanation.explain import MAX_IMAGES, Explainer
from tinysight.explanation.occlusion import occlusion_maps
from tinysight.runs.run import Run


@pytest.fixture(scope="module")
def explainer(trained):
    return Explainer(Run(trained))


def test_test_images_are_explained_in_the_order_given(explainer):
    test, names = explainer.dataset.test, explainer.classifier.class_names
    explanations = explainer.explain_test_images([7, 2])
    probabilities = explainer.classifier.probabilities(test.pixels[[7, 2]])
    heat = occlusion_maps(explainer.classifier, test.pixels[[7, 2]], probabilities.argmax(1))
    assert [each.name for each in explanations] == ["test[7]", "test[2]"]
    for each, index, row, expected in zip(explanations, (7, 2), probabilities, heat, strict=True):
        assert np.array_equal(each.pixels, test.pixels[index])
        assert each.label == names[test.labels[index]]
        order = np.argsort(-row)[:3]
        assert [name for name, _ in each.top_classes] == [names[label] for label in order]
        assert [probability for _, probability in each.top_classes] == pytest.approx(row[order].tolist())
        assert each.occlusion_map == pytest.approx(expected, abs=1e-5)


def test_neighbors_are_four_training_images_with_their_labels(explainer):
    (explanation,) = explainer.explain_test_images([0])
    index, split = explainer.training_index.index, explainer.training_index.split
    (nearest,) = index.nearest(explainer.dataset.test.pixels[:1], 4).indices
    assert len(explanation.neighbors) == 4
    for (pixels, name), row in zip(explanation.neighbors, nearest, strict=True):
        assert np.array_equal(pixels, split.pixels[row])
        assert name == explainer.classifier.class_names[split.labels[row]]


def test_files_are_explained_without_a_label_and_failures_are_returned(explainer, photos, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    files = [photos / "cat" / "05.png", broken, photos / "dog" / "01.png"]
    explanations, failures = explainer.explain_images([str(file) for file in files])
    assert [(each.name, each.label) for each in explanations] == [("05.png", ""), ("01.png", "")]
    assert np.array_equal(explanations[1].pixels, read_image(files[2], (32, 32)))
    (failure,) = failures
    assert failure.startswith(f"{broken}: ")
    assert explainer.explain_images([str(broken)])[0] == []


@pytest.mark.parametrize("offset", [-1e-3, 1e-3])
def test_unsure_means_a_probability_below_the_threshold(trained, offset):
    explainer = Explainer(Run(trained))
    highest = float(explainer.classifier.probabilities(explainer.dataset.test.pixels[:1]).max())
    explainer.classifier = explainer.classifier.with_spec(abstain_below=highest + offset)
    (explanation,) = explainer.explain_test_images([0])
    assert explanation.unsure is (offset > 0)


def test_messages_of_refused_input_are_complete(explainer, photos):
    assert MAX_IMAGES == 50
    with pytest.raises(InputError) as error:
        explainer.explain_images(["-"])
    assert str(error.value) == "-: `explain` does not read standard input. Pass image files."
    with pytest.raises(InputError) as error:
        explainer.explain_images([str(photos / "cat")] * 2 + [str(photos / "cat" / f"{n:02}.png") for n in range(11)])
    assert str(error.value) == "explain: 51 images are too many for one figure. Pass at most 50."
    with pytest.raises(InputError) as error:
        explainer.explain_test_images([30])
    assert str(error.value) == "test index 30: not in the test set. Use an index from 0 to 29."
