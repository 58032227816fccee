"""What is put into a run directory comes out of it again, or is refused by the name of its file."""

import errno
import shutil

import numpy as np
import pytest

from tinysight.errors import RunError, StorageError
from tinysight.runs.records import digest
from tinysight.runs.run import Run

RECORDS = {
    "summary.json": Run.summary,
    "recipe.toml": Run.recipe,
    "environment.json": Run.environment,
    "history.jsonl": Run.history,
    "model.json": Run.classifier,
    "model.safetensors": Run.classifier,
    "metrics.json": Run.metrics,
}


def test_everything_written_is_read_back_equal(run, recipe, environment, summary, history, classifier):
    run = Run.open(run.path)
    assert run.recipe() == recipe
    assert run.environment() == environment
    assert run.summary() == summary
    assert run.history() == history
    assert run.metrics() == {"format": 3, "accuracy": 0.5, "split": "test"}
    with np.load(run.path / "predictions.npz") as predictions:
        assert predictions["probabilities"].tolist() == [[1, 0], [0, 1]]
        assert predictions["labels"].tolist() == [0, 1]


@pytest.mark.parametrize("other", [{"processor": "another"}, {"versions": {"torch": "1.0"}}])
def test_what_was_found_of_bfloat16_elsewhere_is_worth_nothing_here(run, environment, other):
    assert run.classifier().doubt == 0.25
    run.write_environment(environment.model_copy(update=other))
    assert run.classifier().doubt is None


def test_a_classifier_read_back_predicts_the_same_to_the_bit(run, classifier):
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 16, 16), dtype=np.uint8)
    found = run.classifier()
    assert np.array_equal(found.probabilities(images), classifier.probabilities(images))
    assert (found.class_names, found.image_size, found.temperature) == (("cat", "dog"), 16, 1.5)
    assert found.remarks == ("painted",)
    assert found.normalisation == classifier.normalisation


def test_a_new_run_is_made_where_nothing_is_or_in_an_empty_folder(create, tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "a" / "b"):
        assert create(path).summary().status == "finished"
        assert path.stat().st_mode == (tmp_path / "empty").stat().st_mode
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "a"}


def test_a_new_run_never_overwrites_anything(create, run, tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (run.path, tmp_path / "file"):
        with pytest.raises(RunError, match="exists already; choose another --out"):
            create(path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_new_run_where_nobody_may_write_is_refused(create, tmp_path, disk):
    disk.fails["mkdir"] = errno.EROFS
    with pytest.raises(StorageError, match="read-only. Choose another folder"):
        create(tmp_path / "run")


@pytest.mark.parametrize("name", ["nothing", "file", "long" * 100])
def test_what_is_no_run_directory_is_not_opened(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=f"There is no run directory {tmp_path}/{name}"):
        Run.open(tmp_path / name)


def test_a_folder_without_a_summary_is_not_opened(tmp_path):
    with pytest.raises(RunError, match=r"summary\.json is missing: .* is not a complete run directory"):
        Run.open(tmp_path)


@pytest.mark.parametrize("name", RECORDS)
def test_a_missing_file_is_named(run, name):
    (run.path / name).unlink()
    with pytest.raises(RunError, match=str(run.path / name)):
        RECORDS[name](run)


@pytest.mark.parametrize("name", RECORDS)
def test_a_truncated_file_is_named(run, name):
    path = run.path / name
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, max(1, len(whole) // 50)):
        path.write_bytes(whole[:length])
        with pytest.raises(RunError, match=str(path)):
            RECORDS[name](run)


@pytest.mark.parametrize("name", RECORDS)
def test_an_altered_byte_is_noticed(run, name):
    path = run.path / name
    whole = path.read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 100)):
        altered = bytearray(whole)
        altered[position] ^= 1
        path.write_bytes(altered)
        with pytest.raises(RunError, match=str(path)):
            RECORDS[name](run)


@pytest.mark.parametrize("name", RECORDS)
def test_a_folder_in_the_place_of_a_file_is_named(run, name):
    (run.path / name).unlink()
    (run.path / name).mkdir()
    with pytest.raises(RunError, match=str(run.path / name)):
        RECORDS[name](run)


def test_a_swapped_class_name_is_noticed(run):
    path = run.path / "model.json"
    path.write_text(path.read_text().replace('"cat"', '"dog"', 1))
    with pytest.raises(RunError, match=r"model\.json was altered after it was written"):
        run.classifier()


def test_remarks_on_the_data_stand_in_the_recipe_and_beside_the_predictions(run, recipe):
    run.write_recipe(recipe, ["painted by hand"])
    run.write_predictions(np.eye(2, dtype=np.float32), np.array([0, 1]), ["painted by hand"])

    assert "\n# painted by hand\n" in (run.path / "recipe.toml").read_text()
    assert run.recipe() == recipe
    with np.load(run.path / "predictions.npz") as predictions:
        assert predictions["remarks"].tolist() == ["painted by hand"]


def test_an_edited_recipe_is_noticed(run):
    path = run.path / "recipe.toml"
    path.write_text(path.read_text().replace('split = "stratified"', 'split = "last-20%"'))
    with pytest.raises(RunError, match=r"recipe\.toml was altered after it was written"):
        run.recipe()


def test_a_lost_epoch_is_noticed(run):
    path = run.path / "history.jsonl"
    first, second, third = path.read_text().splitlines(keepends=True)
    for lines in ([first, second], [second, third], [first, third, second], [first, second, third, third]):
        path.write_text("".join(lines))
        with pytest.raises(RunError, match=r"history\.jsonl was altered after it was written"):
            run.history()


def test_a_history_that_nobody_wrote_is_refused(run, summary):
    (run.path / "history.jsonl").write_text("{}\n")
    run.write_summary(summary.model_copy(update={"history_sha256": digest("{}\n")}))
    with pytest.raises(RunError, match=r"history\.jsonl was not written by this version"):
        run.history()


def test_an_error_of_the_training_is_not_taken_for_a_held_lock(run):
    with pytest.raises(BlockingIOError), run.locked():
        raise BlockingIOError


def test_a_run_interrupted_in_its_first_epoch_has_an_empty_history(run, summary):
    seal = run.write_history([])
    run.write_summary(summary.model_copy(update={"status": "interrupted", "epochs": 0, "history_sha256": seal}))
    assert run.history() == []


def test_a_new_run_is_there_whole_or_not_at_all(create, tmp_path, power_cuts):
    for _ in power_cuts(lambda: create(tmp_path / "run")):
        if (tmp_path / "run").exists():
            run = Run.open(tmp_path / "run")
            assert (run.history(), run.recipe().name, run.environment().seed) == ([], "early-stopping", 3)
            shutil.rmtree(tmp_path / "run")


def test_a_new_run_on_a_full_disk_leaves_nothing(create, tmp_path, disk):
    disk.fails["fsync"] = errno.ENOSPC
    with pytest.raises(StorageError, match="the disk is full"):
        create(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_figures_of_weights_that_were_replaced_meanwhile_are_not_kept(run, classifier):
    seal = run.weights_seal()
    next(classifier.network.parameters()).data[0] += 1
    run.write_classifier(classifier)
    with pytest.raises(RunError, match="got new weights meanwhile"):
        run.write_metrics({"format": 3}, seal)


def test_what_was_found_of_other_weights_goes_with_them(run, classifier):
    run.plot_path("curves").parent.mkdir()
    run.plot_path("curves").touch()
    next(classifier.network.parameters()).data[0] += 1
    run.write_classifier(classifier)

    left = {path.name for path in run.path.iterdir()}
    assert not left & {"metrics.json", "predictions.npz", "plots"}


def test_figures_put_back_beside_other_weights_are_refused(run, classifier):
    found = (run.path / "metrics.json").read_bytes()
    next(classifier.network.parameters()).data[0] += 1
    run.write_classifier(classifier)
    (run.path / "metrics.json").write_bytes(found)
    with pytest.raises(RunError, match="tells of other weights than those beside it; run `tinysight evaluate` again"):
        run.metrics()


def test_only_one_process_trains_in_a_directory(run):
    """A lock of the same process counts as another one's."""
    with run.locked(), pytest.raises(RunError, match="is in training in another process"), run.locked():
        raise AssertionError
    with run.locked():
        pass


def test_the_next_training_clears_away_what_a_killed_one_was_writing_and_nothing_else(run):
    (run.path / "checkpoint").mkdir(exist_ok=True)
    left = [run.path / ".history.jsonl.h3vx0xq9.part", run.path / "checkpoint" / ".latest.safetensors.w8_2n1pz.part"]
    others = run.path / ".metrics.json.k2j4h6g8.part"  # evaluate may be writing that just now
    for draft in [*left, others]:
        draft.write_text("half")
    before = set(run.path.rglob("*"))
    with run.locked():
        assert before - set(run.path.rglob("*")) == set(left)


def test_a_run_that_never_came_to_an_end_does_not_predict(run, summary):
    run.write_summary(summary.model_copy(update={"status": "running"}))
    with pytest.raises(RunError, match="go on with it by --resume"):
        run.classifier()


def test_weights_and_model_from_two_runs_are_told_apart(create, run, classifier, tmp_path):
    other = create(tmp_path / "other")
    next(classifier.network.parameters()).data[0] += 1
    other.write_classifier(classifier)
    shutil.copy(other.path / "model.safetensors", run.path)
    with pytest.raises(RunError, match=r"model\.safetensors does not belong to model\.json beside it"):
        run.classifier()


def test_weights_of_another_shape_are_refused(run, classifier):
    del classifier.network[-1]
    run.write_classifier(classifier)
    with pytest.raises(RunError, match=r"model\.safetensors holds weights of another shape than model\.json says"):
        run.classifier()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(run, classifier, number):
    classifier.network[-1].bias.data[1] = number
    run.write_classifier(classifier)
    with pytest.raises(RunError, match=r"model\.safetensors: the weights '9\.bias' hold NaN or infinity"):
        run.classifier()


def test_an_architecture_of_a_later_version_is_refused_by_name(run, classifier):
    object.__setattr__(classifier.model, "architecture", "vision-transformer")
    run.write_classifier(classifier)
    with pytest.raises(RunError, match=r"model\.json was not written by this version.*: model\.architecture"):
        run.classifier()


def test_a_full_disk_while_writing_leaves_every_file_as_it_was(run, classifier, recipe, summary, disk):
    before = {path: path.read_bytes() for path in run.path.iterdir()}
    disk.fails["fsync"] = errno.ENOSPC
    writes = [
        lambda: run.write_classifier(classifier),
        lambda: run.write_recipe(recipe),
        lambda: run.write_summary(summary),
        lambda: run.write_history([]),
        lambda: run.write_metrics({"format": 3}, run.weights_seal()),
        lambda: run.write_predictions(np.eye(3, dtype=np.float32), np.arange(3)),
    ]
    for write in writes:
        with pytest.raises(StorageError, match="the disk is full. Free some space and try again"):
            write()
    assert {path: path.read_bytes() for path in run.path.iterdir()} == before


def test_a_power_cut_between_weights_and_model_is_noticed_or_harmless(run, classifier, power_cuts):
    images = np.zeros((1, 3, 16, 16), dtype=np.uint8)
    before = classifier.probabilities(images)
    classifier.network[-1].bias.data[0] += 1
    after = classifier.probabilities(images)

    def found_in(run):
        try:
            return run.classifier().probabilities(images).tolist()
        except RunError:
            return "refused"

    for _ in power_cuts(lambda: run.write_classifier(classifier)):
        assert found_in(run) in (before.tolist(), after.tolist(), "refused")
    assert found_in(run) == after.tolist()
