"""Run directories: round trips, atomic writes, and detection of damaged files."""

import errno
import hashlib
import json
import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from tinysight._util.errors import ModelError, RunError, StorageError
from tinysight.models.classifier import Classifier
from tinysight.models.network import embed
from tinysight.models.ood import OodDetector
from tinysight.models.registry import FAMILIES
from tinysight.recipes.schema import ModelSection
from tinysight.runs.checkpoint import Checkpoint
from tinysight.runs.records import EpochRecord, read_checked, sha256_hex, write_checked
from tinysight.runs.run import Run
from tinysight.runs.weights import write_tensors

RECORDS = {
    "summary.json": Run.summary,
    "recipe.toml": Run.recipe,
    "environment.json": Run.environment,
    "history.jsonl": Run.history,
    "model.json": Run.classifier,
    "model.safetensors": Run.classifier,
    "metrics.json": Run.metrics,
}


def test_all_files_roundtrip(run, recipe, environment, summary, history, metrics):
    run = Run.open(run.path)
    assert run.recipe() == recipe
    assert run.environment() == environment
    assert run.summary() == summary
    assert run.history() == history
    assert run.metrics() == metrics(run.weights_checksum())
    assert [array.tolist() for array in run.predictions()] == [[[1, 0], [0, 1]], [0, 1]]
    with np.load(run.path / "predictions.npz") as predictions:
        assert predictions["probabilities"].tolist() == [[1, 0], [0, 1]]
        assert predictions["labels"].tolist() == [0, 1]


def test_run_of_older_format_is_refused_by_name(run):
    summary = json.loads((run.path / "summary.json").read_text())
    (run.path / "summary.json").write_text(json.dumps({**summary, "format": 3}))
    with pytest.raises(RunError, match=r"summary\.json: has format 3\. This version of tinysight reads format 4\. Use"):
        Run.open(run.path)
    recipe = (run.path / "recipe.toml").read_text()
    (run.path / "recipe.toml").write_text(recipe.replace("# format 4,", "# format 3,", 1))
    with pytest.raises(RunError, match=r"recipe\.toml: has format 3\."):
        run.recipe()


@pytest.mark.parametrize("other", [{"processor": "another"}, {"versions": {"torch": "1.0"}}])
def test_bf16_margin_is_dropped_on_other_processor_or_torch(run, environment, other):
    assert run.classifier().spec.bf16_margin == 0.25
    run.write_environment(environment.model_copy(update=other))
    assert run.classifier().spec.bf16_margin is None


def test_loaded_classifier_predicts_bit_identical_probabilities(run, classifier):
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 16, 16), dtype=np.uint8)
    loaded = run.classifier()
    assert np.array_equal(loaded.probabilities(images), classifier.probabilities(images))
    assert (loaded.class_names, loaded.image_size, loaded.spec.temperature) == (("cat", "dog"), 16, 1.5)
    assert loaded.notes == ("painted",)
    assert loaded.spec == classifier.spec


@pytest.fixture
def detector_run(run, classifier):
    """A run whose classifier has an OOD detector."""
    width = embed(classifier.network, torch.zeros(1, 3, 16, 16)).shape[1]
    generator = torch.Generator().manual_seed(0)
    features, logits = torch.randn(30, width, generator=generator), torch.randn(30, 2, generator=generator)
    detector = OodDetector.fit(features, logits, "multi-class")
    run.write_classifier(replace(classifier.with_spec(ood_threshold=-0.1), detector=detector))
    return run


def test_detector_roundtrips(detector_run):
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 16, 16), dtype=np.uint8)
    loaded = detector_run.classifier()
    assert (loaded.detector.features.dtype, loaded.ood_threshold) == (torch.float16, -0.1)
    before = loaded.outputs(images).ood_scores
    detector_run.write_classifier(loaded)
    assert np.array_equal(detector_run.classifier().outputs(images).ood_scores, before)


def test_detector_of_earlier_weights_is_removed(detector_run, classifier):
    assert (detector_run.path / "ood.safetensors").exists()
    detector_run.write_classifier(classifier)
    assert not (detector_run.path / "ood.safetensors").exists()
    assert detector_run.classifier().detector is None


def rewrite_detector(run, tensors):
    """Write ood.safetensors and its checksum in model.json."""
    checksum = write_tensors(tensors, {}, run.path / "ood.safetensors")
    values = read_checked(run.path / "model.json") | {"ood_sha256": checksum}
    write_checked(values, run.path / "model.json")


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"features": torch.ones(3, 4).half()},
        {"features": torch.ones(3, 4), "energies": torch.ones(3)},
        {"features": torch.ones(3, 4).half(), "energies": torch.ones(2)},
        {"features": torch.ones(3).half(), "energies": torch.ones(3)},
        {"features": torch.ones(3, 0).half(), "energies": torch.ones(3)},
        {"features": torch.ones(0, 4).half(), "energies": torch.ones(0)},
        {"features": torch.ones(3, 4).half(), "energies": torch.ones(3), "more": torch.ones(1)},
    ],
)
def test_detector_of_wrong_shape_is_rejected(detector_run, tensors):
    rewrite_detector(detector_run, tensors)
    with pytest.raises(RunError, match=r"ood\.safetensors: contains no embeddings of training images\. Restore it"):
        detector_run.classifier()


def test_detector_with_nan_is_rejected(detector_run):
    rewrite_detector(detector_run, {"features": torch.full((3, 4), torch.nan).half(), "energies": torch.ones(3)})
    with pytest.raises(RunError, match=r"ood\.safetensors: the weights 'features' contain NaN or infinity"):
        detector_run.classifier()


def test_detector_of_another_network_does_not_predict(detector_run):
    rewrite_detector(detector_run, {"features": torch.ones(3, 4).half(), "energies": torch.ones(3)})
    with pytest.raises(ModelError, match=r"OOD detector: stores embeddings of 4 values, but the network's have"):
        detector_run.classifier().outputs(np.zeros((1, 3, 16, 16), np.uint8))


def test_missing_modified_and_exchanged_detectors_are_rejected(detector_run):
    path = detector_run.path / "ood.safetensors"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(RunError, match=r"ood\.safetensors: missing\. Restore it from a copy or train again\."):
        detector_run.classifier()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RunError, match=r"ood\.safetensors: modified after it was written"):
        detector_run.classifier()
    write_tensors({"features": torch.ones(3, 4).half(), "energies": torch.ones(3)}, {}, path)
    with pytest.raises(RunError, match=r"ood\.safetensors: does not match model\.json in the same directory"):
        detector_run.classifier()


def test_create_accepts_missing_or_empty_directory(create, tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "a" / "b"):
        assert create(path).summary().status == "finished"
        assert path.stat().st_mode == (tmp_path / "empty").stat().st_mode
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "a"}


def test_create_rejects_existing_files(create, run, tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (run.path, tmp_path / "file"):
        with pytest.raises(RunError, match=r"already exists\. Choose another directory, or resume the run\."):
            create(path)
    assert (tmp_path / "file").read_text() == "mine"


def test_create_in_read_only_place_raises(create, tmp_path, disk):
    disk.fails["mkdir"] = errno.EROFS
    with pytest.raises(StorageError, match=r"read-only\. Choose another folder"):
        create(tmp_path / "run")


@pytest.mark.parametrize("name", ["nothing", "file", "long" * 100])
def test_open_rejects_path_that_is_not_a_directory(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=f"{tmp_path}/{name}: no run directory"):
        Run.open(tmp_path / name)


def test_open_rejects_directory_without_summary(tmp_path):
    with pytest.raises(RunError, match=r"summary\.json: missing\. .* is not a complete run directory"):
        Run.open(tmp_path)


@pytest.mark.parametrize("name", sorted(RECORDS.keys() - {"metrics.json"}))  # a run need not be evaluated
def test_error_names_missing_file(run, name):
    (run.path / name).unlink()
    with pytest.raises(RunError, match=str(run.path / name)):
        RECORDS[name](run)


@pytest.mark.parametrize("name", RECORDS)
def test_error_names_truncated_file(run, name):
    path = run.path / name
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, max(1, len(whole) // 50)):
        path.write_bytes(whole[:length])
        with pytest.raises(RunError, match=str(path)):
            RECORDS[name](run)


@pytest.mark.parametrize("name", RECORDS)
def test_error_names_file_with_flipped_bit(run, name):
    path = run.path / name
    whole = path.read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 100)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=str(path)):
            RECORDS[name](run)


@pytest.mark.parametrize("name", RECORDS)
def test_error_names_directory_in_place_of_file(run, name):
    (run.path / name).unlink()
    (run.path / name).mkdir()
    with pytest.raises(RunError, match=str(run.path / name)):
        RECORDS[name](run)


def test_edited_class_name_is_detected(run):
    path = run.path / "model.json"
    path.write_text(path.read_text().replace('"cat"', '"dog"', 1))
    with pytest.raises(RunError, match=r"model\.json: modified after it was written"):
        run.classifier()


def test_dataset_notes_are_in_recipe_and_predictions(run, recipe):
    run.write_recipe(recipe, ["painted by hand"])
    run.write_predictions(np.eye(2, dtype=np.float32), np.array([0, 1]), ["painted by hand"])

    assert "\n# painted by hand\n" in (run.path / "recipe.toml").read_text()
    assert run.recipe() == recipe
    with np.load(run.path / "predictions.npz") as predictions:
        assert predictions["notes"].tolist() == ["painted by hand"]


def test_edited_recipe_is_detected(run):
    path = run.path / "recipe.toml"
    path.write_text(path.read_text().replace('split = "stratified"', 'split = "last-20%"'))
    with pytest.raises(RunError, match=r"recipe\.toml: modified after it was written"):
        run.recipe()


def test_edited_history_is_detected(run):
    path = run.path / "history.jsonl"
    first, second, third = path.read_text().splitlines(keepends=True)
    for lines in ([first, second], [second, third], [first, third, second], [first, second, third, third]):
        path.write_text("".join(lines))
        with pytest.raises(RunError, match=r"history\.jsonl: modified after it was written"):
            run.history()


def test_history_that_violates_the_schema_is_rejected(run, summary):
    (run.path / "history.jsonl").write_text("{}\n")
    run.write_summary(summary.model_copy(update={"history_sha256": sha256_hex("{}\n")}))
    with pytest.raises(RunError, match=r"history\.jsonl: not written by this version"):
        run.history()


def test_blocking_io_error_in_training_is_not_a_lock_error(run):
    with pytest.raises(BlockingIOError), run.training_lock():
        raise BlockingIOError


def test_run_interrupted_in_first_epoch_has_empty_history(run, summary):
    checksum = run.write_history([])
    run.write_summary(summary.model_copy(update={"status": "interrupted", "epochs": 0, "history_sha256": checksum}))
    assert run.history() == []


def test_create_is_atomic(create, tmp_path, power_cuts):
    for _ in power_cuts(lambda: create(tmp_path / "run")):
        if (tmp_path / "run").exists():
            run = Run.open(tmp_path / "run")
            assert (run.history(), run.recipe().name, run.environment().seed) == ([], "early-stopping", 3)
            shutil.rmtree(tmp_path / "run")


def test_create_on_full_disk_leaves_no_files(create, tmp_path, disk):
    disk.fails["fsync"] = errno.ENOSPC
    with pytest.raises(StorageError, match="the disk is full"):
        create(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_write_metrics_rejects_metrics_of_replaced_weights(run, classifier, metrics):
    checksum = run.weights_checksum()
    next(classifier.network.parameters()).data[0] += 1
    run.write_classifier(classifier)
    with pytest.raises(RunError, match="the weights changed during the evaluation"):
        run.write_metrics(metrics(checksum))


def test_writing_new_weights_removes_evaluation(run, classifier):
    run.plot_path("curves").parent.mkdir()
    run.plot_path("curves").touch()
    next(classifier.network.parameters()).data[0] += 1
    run.write_classifier(classifier)

    remaining = {path.name for path in run.path.iterdir()}
    assert not remaining & {"metrics.json", "predictions.npz", "plots"}


def test_metrics_of_other_weights_are_rejected(run, classifier):
    old_metrics = (run.path / "metrics.json").read_bytes()
    next(classifier.network.parameters()).data[0] += 1
    run.write_classifier(classifier)
    (run.path / "metrics.json").write_bytes(old_metrics)
    with pytest.raises(RunError, match=r"computed for other weights\. Evaluate the run again"):
        run.metrics()


@pytest.mark.parametrize(
    "changes",
    [
        {"accuracy": "high"},
        {"accuracy": float("nan")},
        {"n": 0},
        {"split": "train"},
        {"unsure": {}},
        {"macro": None},
        {"accuracy_ci95": [0.5]},
    ],
)
def test_metrics_that_violate_the_schema_are_rejected(run, changes):
    path = run.path / "metrics.json"
    values = {key: value for key, value in json.loads(path.read_text()).items() if key != "sha256"}
    checksum = sha256_hex(json.dumps(values | changes, sort_keys=True))
    path.write_text(json.dumps({**values, **changes, "sha256": checksum}))
    with pytest.raises(RunError, match=r"metrics\.json: not written by this version of tinysight"):
        run.metrics()


def rewrite_predictions(run, **changes):
    """Write predictions.npz again with other arrays; None removes one. Checksums stay."""
    path = run.path / "predictions.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    "changes",
    [
        {"probabilities": np.eye(2)},  # float64
        {"probabilities": np.ones((2, 1), np.float32)},
        {"probabilities": np.eye(3, 2, dtype=np.float32)},
        {"probabilities": np.full((2, 2), 0.6, np.float32)},
        {"probabilities": np.full((2, 2), np.nan, np.float32)},
        {"probabilities": np.array([[2, -1], [0, 1]], np.float32)},
        {"labels": np.array([0, 2])},
        {"labels": np.array([0, -1])},
        {"labels": np.array([0.0, 1.0])},
        {"labels": np.array([[0], [1]])},
        {"labels": None},
        {"notes": None},
        {"notes": np.array(1)},
        {"extra": np.zeros(1)},
    ],
)
def test_predictions_that_violate_the_schema_are_rejected(run, changes):
    rewrite_predictions(run, **changes)
    with pytest.raises(RunError, match=r"predictions\.npz: contains no predictions\. Evaluate the run again"):
        run.predictions()


@pytest.mark.parametrize(
    "changes", [{"labels": np.array([1, 1])}, {"probabilities": np.eye(2, dtype=np.float32)[::-1]}, {"sha256": None}]
)
def test_modified_predictions_are_rejected(run, changes):
    rewrite_predictions(run, **changes)
    with pytest.raises(RunError, match=r"predictions\.npz: modified after it was written"):
        run.predictions()


@pytest.mark.parametrize("form", [3, [4, 4], "4", None])
def test_predictions_of_other_formats_are_rejected(run, form):
    rewrite_predictions(run, format=None if form is None else np.array(form))
    with pytest.raises(RunError, match=r"predictions\.npz: has format .*\. This version of tinysight reads format 4"):
        run.predictions()


def test_truncated_predictions_are_rejected(run):
    content = (run.path / "predictions.npz").read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 30):
        (run.path / "predictions.npz").write_bytes(content[:length])
        with pytest.raises(RunError, match=r"predictions\.npz: missing or damaged"):
            run.predictions()
    with (run.path / "predictions.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(RunError, match=r"predictions\.npz: missing or damaged"):
        run.predictions()


def test_training_lock_is_exclusive(run):
    """A second lock in the same process behaves like one in another process."""
    with (
        run.training_lock(),
        pytest.raises(RunError, match="another process is training in this directory"),
        run.training_lock(),
    ):
        raise AssertionError
    with run.training_lock():
        pass


def test_training_lock_removes_only_temporary_training_files(run):
    (run.path / "checkpoint").mkdir(exist_ok=True)
    stale = [run.path / ".history.jsonl.h3vx0xq9.part", run.path / "checkpoint" / ".latest.safetensors.w8_2n1pz.part"]
    active = run.path / ".metrics.json.k2j4h6g8.part"  # `evaluate` may be writing it
    for temporary in [*stale, active]:
        temporary.write_text("half")
    before = set(run.path.rglob("*"))
    with run.training_lock():
        assert before - set(run.path.rglob("*")) == set(stale)


def test_unfinished_run_has_no_classifier(run, summary):
    run.write_summary(summary.model_copy(update={"status": "running"}))
    with pytest.raises(RunError, match=r"was killed\. Wait, or resume it"):
        run.classifier()


def test_weights_of_another_run_are_rejected(create, run, classifier, tmp_path):
    other = create(tmp_path / "other")
    next(classifier.network.parameters()).data[0] += 1
    other.write_classifier(classifier)
    shutil.copy(other.path / "model.safetensors", run.path)
    with pytest.raises(RunError, match=r"model\.safetensors: does not match model\.json in the same directory"):
        run.classifier()


def test_weights_of_wrong_shape_are_rejected(run, classifier):
    classifier.network.head = torch.nn.Linear(3, 2)
    run.write_classifier(classifier)
    with pytest.raises(RunError, match=r"model\.safetensors: the shapes of the weights do not match model\.json"):
        run.classifier()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_non_finite_weights_are_rejected(run, classifier, number):
    classifier.network.head.bias.data[1] = number
    run.write_classifier(classifier)
    with pytest.raises(RunError, match=r"model\.safetensors: the weights 'head\.bias' contain NaN or infinity"):
        run.classifier()


def test_unknown_architecture_is_rejected(run, classifier):
    object.__setattr__(classifier.spec.model, "architecture", "vision-transformer")
    run.write_classifier(classifier)
    with pytest.raises(RunError) as refusal:
        run.classifier()
    families = ", ".join([*FAMILIES, "custom"])
    assert str(refusal.value) == (
        f"{run.path}/model.json: not written by this version of tinysight (model.architecture: 'vision-transformer' is "
        f"not a network family. Known: {families}). Train again."
    )


def test_full_disk_leaves_files_unchanged(run, classifier, recipe, summary, metrics, disk):
    before = {path: path.read_bytes() for path in run.path.iterdir()}
    disk.fails["fsync"] = errno.ENOSPC
    writes = [
        lambda: run.write_classifier(classifier),
        lambda: run.write_recipe(recipe),
        lambda: run.write_summary(summary),
        lambda: run.write_history([]),
        lambda: run.write_metrics(metrics(run.weights_checksum())),
        lambda: run.write_predictions(np.eye(3, dtype=np.float32), np.arange(3)),
    ]
    for write in writes:
        with pytest.raises(StorageError, match=r"the disk is full\. Free some space and try again"):
            write()
    assert {path: path.read_bytes() for path in run.path.iterdir()} == before


def test_power_loss_between_weights_and_model_is_detected_or_harmless(run, classifier, power_cuts):
    images = np.zeros((1, 3, 16, 16), dtype=np.uint8)
    before = classifier.probabilities(images)
    classifier.network.head.bias.data[0] += 1
    after = classifier.probabilities(images)

    def predict_or_reject(run):
        try:
            return run.classifier().probabilities(images).tolist()
        except RunError:
            return "rejected"

    for _ in power_cuts(lambda: run.write_classifier(classifier)):
        assert predict_or_reject(run) in (before.tolist(), after.tolist(), "rejected")
    assert predict_or_reject(run) == after.tolist()


def small_network(num_classes, image_size):
    """A user's own network: one convolution, pooling, one linear layer."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, num_classes)
    )


@pytest.fixture
def custom_run(run, classifier):
    spec = classifier.spec.model_copy(update={"model": ModelSection(architecture="custom")})
    torch.manual_seed(5)
    custom = Classifier(spec, small_network(2, 16))
    run.write_classifier(custom)
    return run, custom


def test_a_custom_network_is_built_by_the_factory(custom_run):
    run, custom = custom_run
    calls = []

    def factory(num_classes, image_size):
        calls.append((num_classes, image_size))
        return small_network(num_classes, image_size)

    images = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)
    loaded = Run.open(str(run.path), factory).classifier()
    assert calls == [(2, 16)]
    np.testing.assert_array_equal(loaded.probabilities(images), custom.probabilities(images))


def test_a_custom_network_without_its_factory_is_refused(custom_run):
    run, _ = custom_run
    with pytest.raises(RunError) as refusal:
        Run.open(run.path).classifier()
    assert str(refusal.value) == (
        f"{run.path}: its network is built by the code that trained it. Open the run from Python with "
        "Run.open(path, network=factory)."
    )


def test_the_factory_of_another_network_is_refused_by_its_shapes(custom_run):
    run, _ = custom_run
    with pytest.raises(RunError) as refusal:
        Run.open(run.path, lambda classes, _: small_network(classes + 1, 16)).classifier()
    assert str(refusal.value) == (
        f"{run.path}/model.safetensors: the shapes of the weights do not match model.json. Restore both from one copy."
    )


def test_a_factory_is_ignored_by_a_run_of_a_known_family(run, classifier):
    images = np.full((1, 3, 16, 16), 9, dtype=np.uint8)
    loaded = Run.open(run.path, small_network).classifier()
    np.testing.assert_array_equal(loaded.probabilities(images), classifier.probabilities(images))


def test_a_factory_is_no_part_of_the_identity_of_a_run(run):
    assert Run(run.path, small_network) == run
    assert "small_network" not in repr(Run(run.path, small_network))


@pytest.mark.parametrize("custom", [False, True])
def test_loading_a_classifier_draws_no_random_numbers(run, custom_run, classifier, custom):
    if not custom:
        run.write_classifier(classifier)
    state = torch.random.get_rng_state()
    Run(run.path, small_network).classifier()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_convolution_weights_are_loaded_channels_last(run):
    parameters = dict(run.classifier().network.named_parameters())
    filters = [tensor for tensor in parameters.values() if tensor.dim() == 4 and min(tensor.shape[1:]) > 1]
    assert filters
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in filters)
    assert all(tensor.is_contiguous() for tensor in parameters.values() if tensor.dim() != 4)
    assert not any(tensor.is_meta for tensor in parameters.values())


@pytest.mark.parametrize("status", ["finished", "interrupted", "failed"])
def test_every_ended_run_has_a_classifier(run, summary, status):
    run.write_summary(summary.model_copy(update={"status": status}))
    assert run.classifier().class_names == ("cat", "dog")


def test_the_checksum_of_predictions_is_that_of_names_types_shapes_and_bytes(run):
    probabilities, labels = np.array([[0.25, 0.75]], np.float32), np.array([1])
    run.write_predictions(probabilities, labels, ["note"])
    digest = hashlib.sha256()
    for name, dtype, shape, content in [
        ("labels", "<i8", (1,), labels.tobytes()),
        ("notes", "<U4", (1,), "note".encode("utf-32-le")),
        ("probabilities", "<f4", (1, 2), probabilities.tobytes()),
    ]:
        digest.update(f"{name}\0{dtype}\0{shape}\0".encode() + content)
    with np.load(run.path / "predictions.npz") as stored:
        assert (int(stored["format"]), str(stored["sha256"])) == (4, digest.hexdigest())


def test_predictions_in_fortran_order_round_trip(run):
    probabilities = np.asfortranarray(np.array([[0.25, 0.75], [0.5, 0.5], [1, 0]], np.float32))
    run.write_predictions(probabilities, np.array([1, 0, 0]))
    read, labels = run.predictions()
    np.testing.assert_array_equal(read, probabilities)
    assert (read.dtype, labels.dtype, labels.tolist()) == (np.float32, np.int64, [1, 0, 0])


@pytest.mark.parametrize(
    ("total", "accepted"), [(1.0, True), (0.9995, True), (1.0005, True), (0.998, False), (1.002, False)]
)
def test_probabilities_sum_to_1_within_a_thousandth(run, total, accepted):
    run.write_predictions(np.array([[total / 2, total / 2]], np.float32), np.array([0]))
    if accepted:
        assert run.predictions()[0].sum() == pytest.approx(total)
    else:
        with pytest.raises(RunError) as refusal:
            run.predictions()
        assert str(refusal.value) == f"{run.path}/predictions.npz: contains no predictions. Evaluate the run again."


@pytest.mark.parametrize("label", [-1, 0, 2, 3])
def test_labels_are_indices_of_classes(run, label):
    run.write_predictions(np.eye(3, dtype=np.float32)[:1], np.array([label]))
    if label in (0, 2):
        assert run.predictions()[1].tolist() == [label]
    else:
        with pytest.raises(RunError, match=r"contains no predictions"):
            run.predictions()


def test_missing_predictions_are_refused_with_a_fix(run):
    (run.path / "predictions.npz").unlink()
    with pytest.raises(RunError) as refusal:
        run.predictions()
    assert str(refusal.value) == f"{run.path}/predictions.npz: missing or damaged. Evaluate the run again."


def test_pickled_predictions_are_not_loaded(run):
    rewrite_predictions(run, labels=np.array([{"a": 1}], dtype=object))
    with pytest.raises(RunError, match=r"predictions\.npz: missing or damaged\. Evaluate the run again\."):
        run.predictions()


def test_files_are_copied_with_their_folders_but_without_checkpoints(run, tmp_path):
    run.write_checkpoint(Checkpoint({"a": torch.zeros(1)}, {"step": 1}))
    run.plot_path("checkpoint").parent.mkdir()
    run.plot_path("checkpoint").write_bytes(b"plot")
    files = run.read_files()
    expected = {path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file()}
    assert set(files) == expected - {"checkpoint/latest.safetensors"}
    assert files["plots/checkpoint.png"] == b"plot"

    copy = Run(tmp_path / "copy")
    copy.write_files(files)

    assert copy.read_files() == files
    assert copy.checkpoint() is None
    assert Run.open(copy.path).history() == run.history()


def test_files_are_not_written_over_another_run(run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match=re.escape(f"Cannot write {other}: ")):
        Run(other).write_files(run.read_files())
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


def test_plots_are_png_files_in_their_own_folder(run):
    assert run.plot_path("confusion-rates") == run.path / "plots" / "confusion-rates.png"


def test_checkpoints_of_a_run_round_trip(run):
    assert run.checkpoint() is None
    assert run.checkpoint_mtime() == 0
    for step in (1, 2):
        run.write_checkpoint(Checkpoint({"a": torch.tensor([step])}, {"step": step}))
    assert run.checkpoint().state == {"step": 2}
    os.utime(run.path / "checkpoint" / "latest.safetensors", (1, 777))
    assert run.checkpoint_mtime() == 777


def test_new_weights_remove_only_the_evaluation_and_the_audit(run, classifier):
    for name in ("audit.json", "card.md", "label_issues.csv"):
        (run.path / name).write_text("x")
    for folder in ("plots", "shadow_models", "checkpoint"):
        (run.path / folder).mkdir()
        (run.path / folder / "file").write_text("x")
    run.write_classifier(classifier)
    remaining = {path.name for path in run.path.iterdir()}
    assert remaining == {
        *("recipe.toml", "environment.json", "summary.json", "history.jsonl", "model.json", "model.safetensors"),
        *("card.md", "label_issues.csv", "checkpoint"),
    }
    assert not run.is_evaluated


def test_a_run_is_evaluated_once_it_has_metrics(run):
    assert run.is_evaluated
    (run.path / "metrics.json").unlink()
    assert not run.is_evaluated
    with pytest.raises(RunError) as refusal:
        run.metrics()
    assert str(refusal.value) == f"{run.path}: not evaluated yet. Evaluate it first."


def test_metrics_of_other_weights_are_not_written(run, metrics):
    before = (run.path / "metrics.json").read_bytes()
    with pytest.raises(RunError) as refusal:
        run.write_metrics(metrics("0" * 64))
    assert str(refusal.value) == f"{run.path}: the weights changed during the evaluation. Evaluate the run again."
    assert (run.path / "metrics.json").read_bytes() == before


def test_progress_is_the_history_and_a_summary_with_its_checksum(run, summary, history):
    longer = [*history, history[-1].model_copy(update={"epoch": 4})]
    written = run.write_progress(summary.model_copy(update={"epochs": 4}), longer)
    assert written == run.summary()
    assert (written.epochs, run.history()) == (4, longer)
    content = (run.path / "history.jsonl").read_bytes()
    assert written.history_sha256 == hashlib.sha256(content).hexdigest()
    assert [EpochRecord.model_validate_json(line) for line in content.splitlines()] == longer


def test_the_excluded_images_are_copied_into_the_run(run, recipe, tmp_path):
    own = tmp_path / "mine.csv"
    own.write_text("# by hand\nquality,image\n0.1,train/3\n0.2,train/1\n")
    run.write_recipe(recipe.with_excluded(own))
    own.unlink()
    read = run.recipe()
    assert read.data.exclude_file == str(run.path / "excluded.csv")
    assert (run.path / "excluded.csv").read_text().splitlines()[1:] == ["image", "train/3", "train/1"]
    (run.path / "excluded.csv").write_text("image\ntrain/3\n")
    with pytest.raises(RunError, match=re.escape(f"{run.path}/excluded.csv: modified after it was written.")):
        run.recipe()


def test_a_locked_run_names_the_directory(run):
    with run.training_lock(), pytest.raises(RunError) as refusal, run.training_lock():
        raise AssertionError
    assert str(refusal.value) == (f"{run.path}: another process is training in this directory. Wait until it ends.")
    assert (run.path / ".lock").exists() or os.name == "nt"


def test_the_lock_is_released_by_an_error(run):
    with pytest.raises(ZeroDivisionError), run.training_lock():
        raise ZeroDivisionError
    with run.training_lock():
        pass


def test_a_path_is_available_if_it_is_missing_or_empty(run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert Run.is_available(tmp_path / "missing")
    assert Run.is_available(tmp_path / "empty")
    assert not Run.is_available(tmp_path / "file")
    assert not Run.is_available(run.path)


def cells(html):
    """Return the table of a notebook display as a dict, and the notes below it."""
    rows = re.findall(r"<tr><th[^>]*>(.*?)</th><td[^>]*>(.*?)</td></tr>", html)
    return dict(rows), re.findall(r"<br><em>(.*?)</em>", html)


def test_the_notebook_display_states_status_size_and_accuracy(run, summary):
    totals = {"train_seconds": 1234.4, "parameters": 54321, "notes": ("<b>painted</b>",), "val_accuracy": 0.875}
    run.write_summary(summary.model_copy(update=totals))
    table, notes = cells(run._repr_html_())
    assert table == {
        "run": str(run.path),
        "recipe": "early-stopping on photos",
        "status": "finished after 3 epochs, 1,234 s of training",
        "parameters": "54,321",
        "validation accuracy": "87.5%",
        "accuracy": "50.0% of 2 test images (95% confidence interval 10.0% to 90.0%)",
    }
    assert notes == ["&lt;b&gt;painted&lt;/b&gt;"]


def test_the_notebook_display_of_a_run_without_metrics(run, summary):
    (run.path / "metrics.json").unlink()
    run.write_summary(summary.model_copy(update={"val_accuracy": None, "epochs": 1, "recipe": "<i>"}))
    table, notes = cells(run._repr_html_())
    assert table["accuracy"] == "not measured; call evaluate(run)"
    assert table["status"] == "finished after 1 epoch, 0 s of training"
    assert table["recipe"] == "&lt;i&gt; on photos"
    assert "validation accuracy" not in table
    assert notes == []
