"""The output: its schema, its error rows, and resuming after a part of it was written."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bulk.conftest import pa, png, pq, table
from tests.bulk.test_readers import tar_of
from tinysight._util.errors import InputError
from tinysight._util.progress import SilentProgress
from tinysight.bulk.batch_predict import batch_predict
from tinysight.bulk.job import Job, predict_rows
from tinysight.bulk.output import SCHEMA, ParquetOutput, part_name
from tinysight.bulk.shards import Shard, iter_shards
from tinysight.bulk.storage import RemotePath
from tinysight.data.image_io import read_image
from tinysight.runs.run import Run


def predict_all(run, inputs, out, **options):
    return batch_predict(Run.open(run), str(inputs), str(out), **{"workers": 1, **options})


def parts(out):
    return sorted(path.name for path in out.glob("part-*"))


@pytest.fixture(scope="module")
def classifier(trained):
    return Run.open(trained).classifier()


def test_every_part_has_the_documented_schema(trained, inputs, tmp_path):
    predict_all(trained, inputs.folder, tmp_path / "out")
    expected = {
        "input": pa.string(),
        "unlike_training": pa.bool_(),
        "class": pa.string(),
        "probability": pa.float32(),
        "unsure": pa.bool_(),
        "prediction_set": pa.list_(pa.string()),
        "top": pa.list_(pa.struct([("class", pa.string()), ("probability", pa.float32())])),
        "error": pa.string(),
    }
    for part in (tmp_path / "out").glob("part-*"):
        schema = pq.read_schema(part)
        assert dict(zip(schema.names, schema.types, strict=True)) == expected
        assert list(schema.names) == list(expected)


def test_rows_hold_either_a_prediction_or_an_error(trained, inputs, tmp_path):
    predict_all(trained, inputs.folder, tmp_path / "out")
    rows = table(tmp_path / "out").values()
    assert any(row["error"] for row in rows)
    for row in rows:
        predicted = [row[name] is not None for name in ("class", "probability", "unsure", "prediction_set", "top")]
        assert predicted == [row["error"] is None] * 5
        if row["error"]:
            assert row["error"].endswith(".")
        else:
            assert row["top"][0] == {"class": row["class"], "probability": row["probability"]}


def test_images_unlike_the_training_images_are_marked(detecting):
    classifier = Run.open(detecting).classifier().with_spec(bf16_margin=None)
    images = [(str(number), png(number)) for number in range(6)]
    scores = [classifier.outputs(read_image(content, (32, 32))[None]).ood_scores[0] for _, content in images]
    ordered = np.sort(scores)  # they differ a little between batches, so the widest gap is taken
    widest = np.diff(ordered).argmax()
    threshold = float(ordered[widest : widest + 2].mean())
    (batch,) = predict_rows(classifier.with_spec(ood_threshold=threshold), 1, images)
    assert batch.column("unlike_training").to_pylist() == [bool(score > threshold) for score in scores]
    (batch,) = predict_rows(classifier.with_spec(ood_threshold=None), 1, images)
    assert batch.column("unlike_training").to_pylist() == [None] * 6


def test_metadata_describes_the_job(trained, inputs, tmp_path):
    predict_all(trained, inputs.folder, tmp_path / "out", top=2)
    run = Run.open(trained)
    assert json.loads((tmp_path / "out" / "_tinysight.json").read_text()) == {
        "format": 3,
        "input": inputs.folder.as_posix(),
        "classifier": str(trained),
        "weights": run.weights_checksum(),
        "top": 2,
        "notes": list(run.classifier().notes),
    }


def test_parts_are_named_by_number_and_digest_of_their_shards(trained, inputs, tmp_path):
    predict_all(trained, inputs.folder, tmp_path / "out")
    shards = list(iter_shards(RemotePath.parse(str(inputs.folder))))
    assert parts(tmp_path / "out") == [
        f"part-{number:06}-{shard.digest}.parquet" for number, shard in enumerate(shards)
    ]
    for part, shard in zip(parts(tmp_path / "out"), shards, strict=True):
        names = pq.read_table(tmp_path / "out" / part)["input"].to_pylist()
        assert all(any(name.startswith(path) for path in shard.paths) for name in names)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_missing_parts_are_predicted_again_and_leftovers_do_no_harm(trained, inputs, tmp_path, data):
    out, whole = tmp_path / "out", tmp_path / "whole"
    if not whole.exists():
        predict_all(trained, inputs.folder, whole)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(whole, out)
    removed = data.draw(st.sets(st.sampled_from(parts(out)), min_size=1))
    for name in removed:
        if data.draw(st.booleans()):  # the temporary file of a killed process
            (out / f".{name}.abc.part").write_bytes((out / name).read_bytes()[:-9])
        (out / name).unlink()
    rows = sum(pq.read_metadata(whole / name).num_rows for name in removed)
    stale = out / f"part-{data.draw(st.integers(0, 40)):06}-{'0' * 16}.parquet"
    stale.write_bytes((whole / parts(whole)[0]).read_bytes())
    total = predict_all(trained, inputs.folder, out)
    assert (total.rows, total.skipped) == (rows, len(parts(whole)) - len(removed))
    assert parts(out) == parts(whole)
    assert table(out) == table(whole)


def test_of_two_parts_with_one_number_only_the_current_one_is_kept(trained, inputs, tmp_path):
    predict_all(trained, inputs.folder, tmp_path / "out")
    before = parts(tmp_path / "out")
    for digest in ("0" * 16, "f" * 16):  # listed before and after the current one
        shutil.copy(tmp_path / "out" / before[0], tmp_path / "out" / f"part-000000-{digest}.parquet")
    total = predict_all(trained, inputs.folder, tmp_path / "out")
    assert (total.rows, total.skipped, parts(tmp_path / "out")) == (0, len(before), before)


class Counting(SilentProgress):
    """Progress that adds up its reports."""

    def __init__(self):
        self.total = self.sum = 0

    def start(self, task, total, unit=""):
        assert (task, unit) == ("predicting", "B")
        self.total = total

    def advance(self, amount, **metrics):
        self.sum += amount


def test_progress_reaches_its_total_to_the_byte_also_when_resuming(trained, inputs, tmp_path):
    for removed in (0, 2, 0):
        for name in parts(tmp_path / "out")[:removed]:
            (tmp_path / "out" / name).unlink()
        progress = Counting()
        predict_all(trained, inputs.folder, tmp_path / "out", progress=progress)
        files = [path for path in inputs.folder.rglob("*") if path.is_file()]
        expected = sum(path.stat().st_size for path in files if path.name not in ("notes.txt", ".hidden.png"))
        assert progress.sum == progress.total == expected


def test_names_of_tar_members_that_are_not_utf_8_become_rows(trained, tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(tar_of({"caf\xe9.png": png(0)}, format=0, encoding="latin-1"))
    predict_all(trained, path, tmp_path / "out")
    assert list(table(tmp_path / "out")) == [rf"{path}:caf\xe9.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems allow only Unicode")
def test_file_names_that_are_not_utf_8_are_refused_with_a_sentence(trained, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    with open(os.fsencode(folder) + b"/caf\xe9.png", "wb") as file:
        file.write(png(0))
    with pytest.raises(InputError, match=r"in: has a file name that is not UTF-8\. Rename the file\.$"):
        predict_all(trained, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("pattern", "out", "refused"),
    [
        ("in/**", "in/out.parquet", True),
        ("in/**/*.parquet", "in/a/out", True),
        ("in/*/*", "in/out", True),
        ("in/*.parquet", "in/out", False),
        ("in/**/*.png", "in/out", False),
        ("in/[a-m]/*", "in/out", False),
    ],
)
def test_output_that_a_glob_of_the_input_selects_is_rejected(trained, empty, tmp_path, pattern, out, refused):
    empty.parquet("x.parquet", [png(0)])
    empty.image("a/b/0.png", png(1))
    empty.image("a/1.png", png(2))
    if not refused:
        predict_all(trained, tmp_path / pattern, tmp_path / out)
        assert predict_all(trained, tmp_path / pattern, tmp_path / out).rows == 0
        return
    with pytest.raises(InputError, match=r"is inside the input .*\. Choose an output outside of it\.$"):
        predict_all(trained, tmp_path / pattern, tmp_path / out)
    assert not (tmp_path / out).exists()


@pytest.mark.parametrize("top", [1, 10, 1000])
def test_top_is_limited_to_the_classes(trained, empty, tmp_path, classifier, top):
    empty.image("a.png", png(0))
    predict_all(trained, empty.folder, tmp_path / "out", top=top)
    (row,) = table(tmp_path / "out").values()
    probabilities = classifier.probabilities(read_image(png(0), (classifier.image_size,) * 2)[None])[0]
    assert [choice["class"] for choice in row["top"]] == [
        classifier.class_names[index] for index in np.argsort(-probabilities)[:top]
    ]
    assert len(row["top"]) == min(top, 10)


def test_rows_are_yielded_in_order_in_bounded_batches(classifier):
    images = [(f"{number}", png(number % 3)) for number in range(520)]
    batches = list(predict_rows(classifier, 1, iter(images)))
    assert [len(batch) for batch in batches] == [512, 8]
    assert [name for batch in batches for name in batch.column("input").to_pylist()] == [name for name, _ in images]
    assert all(batch.schema == SCHEMA for batch in batches)
    classes = [name for batch in batches for name in batch.column("class").to_pylist()]
    assert classes == [classes[number % 3] for number in range(520)]
    assert list(predict_rows(classifier, 1, [])) == []


@pytest.fixture
def output(tmp_path):
    """An output directory that a job has created."""
    output = ParquetOutput(RemotePath.parse(str(tmp_path / "new" / "out")))
    output.create_or_resume({"top": 3})
    return output


SHARD = Shard("images", ("a.png",), 1, "0123456789abcdef")


def batch(*errors):
    """Return rows with these errors; None is a prediction."""
    rows = [{"input": f"{number}", "error": error} for number, error in enumerate(errors)]
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def test_written_shard_counts_rows_and_errors(output, tmp_path):
    assert output.write_shard(7, SHARD, [batch(None, "x."), batch("y."), batch(None, None)]) == (5, 2)
    assert output.write_shard(8, SHARD, []) == (0, 0)
    assert output.existing_parts() == {number: [part_name(number, SHARD)] for number in (7, 8)}
    assert part_name(7, SHARD) == "part-000007-0123456789abcdef.parquet"
    assert pq.read_table(tmp_path / "new" / "out")["error"].to_pylist() == [None, "x.", "y.", None, None]


def test_failing_shard_leaves_no_file(output):
    def failing():
        yield batch(None)
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        output.write_shard(0, SHARD, failing())
    assert output.existing_parts() == {}
    assert os.listdir(output.path.path) == ["_tinysight.json"]


def test_other_files_are_no_parts_and_removed_parts_may_be_missing(output):
    output.write_shard(1, SHARD, [])
    for name in ("part-1-0123456789abcdef.csv", ".part-000002-0123456789abcdef.parquet", "part-x-0.parquet"):
        output.path.filesystem.open_output_stream(output.path.join(name).path).close()
    assert list(output.existing_parts()) == [1]
    output.remove_parts(["part-000009-0123456789abcdef.parquet", part_name(1, SHARD)])
    assert output.existing_parts() == {}
    assert len(os.listdir(output.path.path)) == 4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"null",
        b'{"format": 3}',
        b'{"format": 3, "top": 4}',
        b'{"top": 3}',
    ],
    ids=["empty", "incomplete", "not UTF-8", "nested", "list", "null", "no top", "other top", "no format"],
)
def test_damaged_or_different_metadata_is_refused(output, content):
    with open(output.path.join("_tinysight.json").path, "wb") as file:
        file.write(content)
    with pytest.raises(InputError, match=r"out: (exists and is not an|holds predictions with a different) .*\. Choose"):
        output.create_or_resume({"top": 3})


def test_file_in_place_of_the_output_is_refused(trained, inputs, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match=r"out: exists and is not an output of batch prediction\. Choose another"):
        predict_all(trained, inputs.folder, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_worker_that_does_not_see_the_output_is_refused(trained, inputs, tmp_path):
    place = RemotePath.parse(str(inputs.folder))
    elsewhere = ParquetOutput(RemotePath.parse(str(tmp_path / "elsewhere")))
    numbered = next(enumerate(iter_shards(place)))
    with pytest.raises(InputError, match=r"elsewhere: is not visible from every machine\. Choose a shared output"):
        Job(Run.open(trained), 3, place, elsewhere).run_shard(numbered)
    assert not (tmp_path / "elsewhere").exists()


def test_running_a_shard_twice_writes_the_same_file(trained, inputs, tmp_path):
    place, output = RemotePath.parse(str(inputs.folder)), ParquetOutput(RemotePath.parse(str(tmp_path / "out")))
    output.create_or_resume({})
    job, numbered = Job(Run.open(trained), 3, place, output), next(enumerate(iter_shards(place)))
    first = job.run_shard(numbered)
    ((name,),) = output.existing_parts().values()
    content = (tmp_path / "out" / name).read_bytes()
    assert job.run_shard(numbered) == first
    assert (tmp_path / "out" / name).read_bytes() == content
    assert (first.input_bytes, first.rows) == (numbered[1].size, pq.read_metadata(tmp_path / "out" / name).num_rows)
