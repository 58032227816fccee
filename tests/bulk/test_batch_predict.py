"""Batch prediction gives one row per image, equal to its prediction alone."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bulk.conftest import Inputs, png, pq, table
from tinysight._util.errors import ImageError, InputError, RunError, StorageError, TinysightError
from tinysight.bulk import output
from tinysight.bulk.batch_predict import batch_predict
from tinysight.bulk.executors import run_shards
from tinysight.bulk.job import Job
from tinysight.data.image_io import read_image
from tinysight.runs.run import Run


def predict_all(run, inputs, out, **options):
    return batch_predict(Run.open(Path(run)), str(inputs), str(out), **{"workers": 1, **options})


def predict_one(run, content):
    """Return the probabilities of one encoded image, (classes,), or None if it is invalid."""
    classifier = Run.open(run).classifier()
    try:
        pixels = read_image(content or b"", (classifier.image_size,) * 2)
    except ImageError:
        return None
    return classifier.probabilities(pixels[None])[0]


def test_every_image_of_every_kind_of_input_becomes_one_row(trained, inputs, tmp_path):
    total = predict_all(trained, inputs.folder, tmp_path / "out.parquet")
    rows = table(tmp_path / "out.parquet")
    assert rows.keys() == inputs.expected.keys()
    names = Run.open(trained).classifier().class_names
    for name, content in inputs.expected.items():
        row, expected = rows[name], predict_one(trained, content)
        if expected is None:
            assert row["class"] is None
            assert row["error"]
        else:
            assert row["class"] == names[expected.argmax()]
            assert row["probability"] == pytest.approx(expected.max(), abs=1e-5)
            assert [choice["class"] for choice in row["top"]] == [names[i] for i in np.argsort(-expected)[:3]]
            assert row["error"] is None
    assert (total.rows, total.errors) == (len(rows), sum(bool(row["error"]) for row in rows.values()))
    assert total.errors == 3


def test_several_processes_write_the_same_rows_as_one(trained, inputs, tmp_path):
    predict_all(trained, inputs.folder, tmp_path / "one")
    predict_all(trained, inputs.folder, tmp_path / "two", workers=2)
    assert table(tmp_path / "one") == table(tmp_path / "two")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.integers(1, 5), max_size=4))
def test_resuming_after_interruptions_loses_and_duplicates_no_row(trained, inputs, tmp_path, stops):
    out = tmp_path / "out.parquet"
    shutil.rmtree(out, ignore_errors=True)
    for stop in stops:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Job, "run_shard", interrupt_after(stop, Job.run_shard))
            try:
                predict_all(trained, inputs.folder, out)
            except KeyboardInterrupt:
                continue
    before = len(list(out.glob("part-*")))
    total = predict_all(trained, inputs.folder, out)
    assert total.skipped == before
    assert table(out).keys() == inputs.expected.keys()
    assert predict_all(trained, inputs.folder, out).rows == 0


def interrupt_after(shards, run_shard):
    remaining = iter(range(shards))

    def interrupted(job, numbered):
        if next(remaining, None) is None:
            raise KeyboardInterrupt
        return run_shard(job, numbered)

    return interrupted


def test_changed_images_are_predicted_again_and_removed_ones_have_no_row(trained, inputs, tmp_path):
    out = tmp_path / "out.parquet"
    predict_all(trained, inputs.folder, out)
    inputs.image("a/0.png", png(99))
    inputs.image("b/new.png", png(98))
    inputs.expected = {name: content for name, content in inputs.expected.items() if "wrapped" not in name}
    (inputs.folder / "wrapped.parquet").unlink()
    total = predict_all(trained, inputs.folder, out)
    fresh = tmp_path / "fresh"
    predict_all(trained, inputs.folder, fresh)
    assert table(out) == table(fresh)
    assert table(out).keys() == inputs.expected.keys()
    assert total.skipped > 0


@pytest.mark.parametrize(
    ("pattern", "selects"),
    [
        ("a/*.png", lambda name: "/a/" in name and name.endswith(".png")),
        ("**/*.png", lambda name: name.endswith(".png") and ".tar" not in name),
        ("[bc]/?.png", lambda name: "/b/" in name or "/c/" in name),
        ("*.parquet", lambda name: ".parquet:" in name),
        ("plain.parquet", lambda name: "plain" in name),
        ("shard.tar", lambda name: "shard.tar:" in name),
    ],
)
def test_glob_or_single_file_selects_its_images(trained, inputs, tmp_path, pattern, selects):
    predict_all(trained, inputs.folder / pattern, tmp_path / "out")
    assert set(table(tmp_path / "out")) == {name for name in inputs.expected if selects(name)}


def test_large_row_groups_are_one_shard_and_small_ones_are_combined(trained, empty, tmp_path):
    empty.parquet("large.parquet", [png(seed) for seed in range(10)], row_group_size=10)
    empty.parquet("small.parquet", [png(seed) for seed in range(10)], row_group_size=1, column="data")
    predict_all(trained, empty.folder, tmp_path / "out")
    assert table(tmp_path / "out").keys() == empty.expected.keys()
    sizes = [pq.read_metadata(part).num_rows for part in sorted((tmp_path / "out").glob("part-*"))]
    assert sizes == [10, 3, 3, 3, 1]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.parquet", b"PAR1 cut short", "is damaged or truncated"),
        ("x.parquet", b"", "is damaged or truncated"),
        ("x.tar", b"\x01" * 700, "is damaged or truncated"),
        ("x.tar.gz", b"\x1f\x8b\x08 no deflate", "is damaged or truncated"),
        ("x.png", b"", "Image: empty file."),
    ],
)
def test_unreadable_input_becomes_a_row_with_an_error(trained, empty, tmp_path, name, content, sentence):
    empty.image(name, content)
    predict_all(trained, empty.folder, tmp_path / "out")
    (row,) = table(tmp_path / "out").values()
    assert row["input"] == str(empty.folder / name)
    assert sentence in row["error"]
    assert row["class"] is None


def test_truncated_tar_gives_the_images_before_the_end_and_one_error(trained, empty, tmp_path):
    empty.tar("x.tar", {f"{seed}.png": png(seed) for seed in range(6)})
    path = empty.folder / "x.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    predict_all(trained, empty.folder, tmp_path / "out")
    rows = table(tmp_path / "out")
    assert rows[str(path)]["error"]
    good = [name for name, row in rows.items() if row["class"]]
    assert good == [f"{path}:{number}.png" for number in range(len(good))]
    assert 1 <= len(good) < 6


def test_damaged_parquet_file_gives_every_row_once(trained, empty, tmp_path):
    empty.parquet("x.parquet", [png(seed) for seed in range(12)], row_group_size=4)
    path = empty.folder / "x.parquet"
    content = bytearray(path.read_bytes())
    offset = pq.read_metadata(path).row_group(1).column(1).dictionary_page_offset or 0
    content[offset : offset + 200] = bytes(200)
    path.write_bytes(content)
    predict_all(trained, empty.folder, tmp_path / "out")
    rows = table(tmp_path / "out")
    assert rows.keys() == empty.expected.keys()
    assert [row["error"] is None for row in rows.values()] == [True] * 4 + [False] * 4 + [True] * 4


def test_empty_parquet_file_has_no_rows(trained, empty, tmp_path):
    empty.parquet("a.parquet", [png(0)])
    pq.write_table(pq.read_table(empty.folder / "a.parquet").slice(0, 0), empty.folder / "b.parquet")
    predict_all(trained, empty.folder, tmp_path / "out")
    assert table(tmp_path / "out").keys() == empty.expected.keys()


def test_parquet_file_without_images_gives_an_error_with_its_columns(trained, empty, tmp_path):
    empty.folder.mkdir()
    pq.write_table(pq.read_table(_numbers(empty.folder)), empty.folder / "x.parquet")
    predict_all(trained, empty.folder, tmp_path / "out")
    (row,) = table(tmp_path / "out").values()
    assert row["error"].endswith("has no column of images, only a, b. Store encoded images as binary values.")


def _numbers(folder):
    import pyarrow as pa

    pq.write_table(pa.table({"a": [1], "b": ["x"]}), folder / "x.parquet")
    return folder / "x.parquet"


def test_output_of_another_job_is_not_overwritten(trained, finished_run, inputs, tmp_path):
    out = tmp_path / "out"
    predict_all(trained, inputs.folder, out)
    before = table(out)
    with pytest.raises(InputError, match=r"holds predictions with a different top\. Choose another output"):
        predict_all(trained, inputs.folder, out, top=1)
    with pytest.raises(InputError, match=r"with a different input and classifier\."):
        predict_all(finished_run, inputs.folder / "a", out)
    assert table(out) == before


def test_directory_of_other_files_is_not_overwritten(trained, inputs, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"exists and is not an output of batch prediction\. Choose another"):
        predict_all(trained, inputs.folder, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_output_inside_the_input_is_rejected(trained, inputs):
    with pytest.raises(InputError, match="Choose an output outside of it"):
        predict_all(trained, inputs.folder, inputs.folder / "out")


@pytest.mark.parametrize("name", ["out.csv", "out.CSV", "out.json", "out.xlsx"])
def test_output_named_like_another_format_is_rejected(trained, inputs, tmp_path, name):
    expected = r"out\.\w+: the output is a directory of Parquet files\. Name it .*out\.parquet, and convert"
    with pytest.raises(InputError, match=expected):
        predict_all(trained, inputs.folder, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_output_of_an_older_format_is_not_resumed(trained, inputs, tmp_path):
    out = tmp_path / "out"
    predict_all(trained, inputs.folder, out)
    metadata = json.loads((out / "_tinysight.json").read_text())
    assert metadata["format"] == 3
    (out / "_tinysight.json").write_text(json.dumps({**metadata, "format": 1}))
    with pytest.raises(InputError, match=r"holds predictions with a different format\. Choose another output"):
        predict_all(trained, inputs.folder, out)


def test_killed_worker_is_one_sentence_and_a_rerun_resumes(trained, inputs, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Job, "__reduce__", lambda job: (os._exit, (9,)), raising=False)  # in the worker
        with pytest.raises(TinysightError, match=r"a worker process was killed.*\. Run it again to resume\."):
            predict_all(trained, inputs.folder, out, workers=2)
    predict_all(trained, inputs.folder, out, workers=1)
    assert table(out).keys() == inputs.expected.keys()


def test_shards_are_listed_only_as_workers_become_free():
    listed, executor = [], RecordingExecutor(capacity=3)
    results = run_shards(executor, (listed.append(number) or (number, None) for number in range(8)))
    assert next(results) == 0
    assert listed == [0, 1, 2]
    assert list(results) == list(range(1, 8))
    assert executor.most == 3


class RecordingExecutor:
    """An executor that returns the number of the oldest shard as its result."""

    def __init__(self, capacity):
        self.capacity, self.queue, self.most = capacity, [], 0

    def submit(self, shard):
        self.queue.append(shard[0])
        self.most = max(self.most, len(self.queue))

    def next_result(self):
        return self.queue.pop(0)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere", "nowhere: does not exist. Check the name"),
        ("a/*.gif", "contains no images"),
        ("s4://bucket/x", "s4://bucket/x: cannot be opened .*. Check its spelling"),
    ],
)
def test_input_without_images_is_rejected_before_anything_is_written(trained, inputs, tmp_path, name, sentence):
    path = name if "://" in name else inputs.folder / name
    with pytest.raises(InputError, match=sentence):
        predict_all(trained, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_full_disk_leaves_no_partial_file(trained, inputs, tmp_path, monkeypatch):
    def full(path, content):
        raise StorageError(f"Cannot write {path}: the disk is full. Free some space and try again.")

    predict_all(trained, inputs.folder / "a", tmp_path / "out")
    inputs.image("a/more.png", png(1))
    with monkeypatch.context() as patch:
        patch.setattr(output, "write_bytes", full)
        with pytest.raises(StorageError, match="the disk is full"):
            predict_all(trained, inputs.folder / "a", tmp_path / "out")
    predict_all(trained, inputs.folder / "a", tmp_path / "out")
    assert set(table(tmp_path / "out")) == {name for name in inputs.expected if "/a/" in name}


def test_network_with_infinite_weights_fails_the_job(finished_run, inputs, tmp_path, monkeypatch):
    run = Run.open(finished_run)
    classifier = run.classifier()
    for weights in classifier.network.parameters():
        weights.data.mul_(float("inf"))
    monkeypatch.setattr(Run, "classifier", lambda run: classifier)
    with pytest.raises(RunError, match="outputs are not finite"):
        predict_all(finished_run, inputs.folder, tmp_path / "out")


def test_command_line_prints_counts_and_how_to_read_the_output(tinysight, finished_run, inputs):
    outcome = tinysight("predict", finished_run, inputs.folder, "--output", "out.parquet", "--workers", 1)
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        f"{len(inputs.expected)} rows written to out.parquet",
        "3 images failed; see column `error`",
    ]
    assert outcome.next == "pandas.read_parquet('out.parquet'), or any other reader of Parquet folders"
    metadata = json.loads(Path("out.parquet", "_tinysight.json").read_text())
    assert metadata["classifier"] == str(finished_run)
    assert metadata["notes"] == list(Run.open(finished_run).classifier().notes)
    again = tinysight("predict", finished_run, inputs.folder, "--output", "out.parquet", "--workers", 1)
    parts = len(list(Path("out.parquet").glob("part-*")))
    assert again.out.splitlines()[0] == f"0 rows written to out.parquet ({parts} shards already done)"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["a", "b", "--output", "out"], "--output: Parquet output takes one input"),
        (["a", "--output", "out", "--json"], "--output: Parquet output takes one input"),
        (["--test-index", 3, "--output", "out"], "--output: Parquet output takes one input"),
        (["a", "--engine", "ray"], "--engine and --workers: need Parquet output. Add --output OUT.parquet"),
        (["a", "--workers", 2], "--engine and --workers: need Parquet output. Add --output OUT.parquet"),
    ],
)
def test_conflicting_options_are_rejected(tinysight, finished_run, options, sentence):
    assert tinysight("predict", finished_run, *options).refusal().startswith(sentence)


@pytest.mark.parametrize(("package", "options"), [("pyarrow", []), ("ray", ["--engine", "ray"])])
def test_missing_extra_names_what_to_install(tinysight, finished_run, inputs, monkeypatch, package, options):
    from tinysight._util import optional_deps

    version = optional_deps.version
    monkeypatch.setattr(optional_deps, "version", lambda name: None if name == package else version(name))
    outcome = tinysight("predict", finished_run, inputs.folder, "--output", "out", *options)
    assert outcome.refusal() == f"{package}: not installed. Run pip install 'tinysight[scale]'."


def test_shards_are_deterministic_and_sorted(tmp_path):
    from tinysight.bulk.shards import iter_shards, total_bytes
    from tinysight.bulk.storage import RemotePath

    inputs = Inputs(tmp_path / "in")
    for number in np.random.default_rng(0).permutation(20):
        inputs.image(f"{number % 3}/{number:02}.png", png(0))
    place = RemotePath.parse(str(inputs.folder))
    assert [*iter_shards(place)] == [*iter_shards(place)]
    assert [path for shard in iter_shards(place) for path in shard.paths] == sorted(inputs.expected)
    assert total_bytes(place) == sum(shard.size for shard in iter_shards(place)) == 20 * len(png(0))
