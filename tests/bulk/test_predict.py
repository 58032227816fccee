"""Every picture of an input becomes one row, which says what `predict` says of it alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bulk.conftest import Inputs, png, pq, table
from tinysight.bulk import local, output
from tinysight.bulk.predict import predict
from tinysight.data.intake import read_image
from tinysight.errors import ImageError, InputError, RunError, StorageError
from tinysight.runs.run import Run


def bulk(run, inputs, out, **options):
    return predict(Run.open(Path(run)), str(inputs), str(out), **{"workers": 1, **options})


def alone(run, content):
    """Return what the classifier says of one picture, as bytes, or None if it is none."""
    classifier = Run.open(run).classifier()
    try:
        pixels = read_image(content or b"", (classifier.image_size,) * 2)
    except ImageError:
        return None
    return classifier.probabilities(pixels[None])[0]


def test_every_picture_of_every_kind_of_input_becomes_one_row(trained, inputs, tmp_path):
    total = bulk(trained, inputs.folder, tmp_path / "out.parquet")
    found = table(tmp_path / "out.parquet")
    assert found.keys() == inputs.expected.keys()
    names = Run.open(trained).classifier().class_names
    for name, content in inputs.expected.items():
        row, expected = found[name], alone(trained, content)
        if expected is None:
            assert row["class"] is None
            assert row["error"]
        else:
            assert row["class"] == names[expected.argmax()]
            assert row["probability"] == pytest.approx(expected.max(), abs=1e-5)
            assert [one["class"] for one in row["top"]] == [names[i] for i in np.argsort(-expected)[:3]]
            assert row["error"] is None
    assert (total.rows, total.errors) == (len(found), sum(bool(row["error"]) for row in found.values()))
    assert total.errors == 3


def test_several_processes_write_the_same_rows_as_one(trained, inputs, tmp_path):
    bulk(trained, inputs.folder, tmp_path / "one")
    bulk(trained, inputs.folder, tmp_path / "two", workers=2)
    assert table(tmp_path / "one") == table(tmp_path / "two")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.integers(1, 5), max_size=4))
def test_stopped_anywhere_it_goes_on_and_no_row_is_lost_or_written_twice(trained, inputs, tmp_path, stops):
    out = tmp_path / "out.parquet"
    shutil.rmtree(out, ignore_errors=True)
    for stop in stops:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(local.Work, "do", power_goes_after(stop, local.Work.do))
            try:
                bulk(trained, inputs.folder, out)
            except KeyboardInterrupt:
                continue
    before = len(list(out.glob("part-*")))
    total = bulk(trained, inputs.folder, out)
    assert total.before == before
    assert table(out).keys() == inputs.expected.keys()
    assert bulk(trained, inputs.folder, out).rows == 0


def power_goes_after(units, do):
    left = iter(range(units))

    def stopping(work, numbered):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return do(work, numbered)

    return stopping


def test_what_has_changed_meanwhile_is_predicted_anew_and_what_is_gone_has_no_row(trained, inputs, tmp_path):
    out = tmp_path / "out.parquet"
    bulk(trained, inputs.folder, out)
    inputs.picture("a/0.png", png(99))
    inputs.picture("b/new.png", png(98))
    inputs.expected = {name: one for name, one in inputs.expected.items() if "wrapped" not in name}
    (inputs.folder / "wrapped.parquet").unlink()
    total = bulk(trained, inputs.folder, out)
    fresh = tmp_path / "fresh"
    bulk(trained, inputs.folder, fresh)
    assert table(out) == table(fresh)
    assert table(out).keys() == inputs.expected.keys()
    assert total.before > 0


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("a/*.png", lambda name: "/a/" in name and name.endswith(".png")),
        ("**/*.png", lambda name: name.endswith(".png") and ".tar" not in name),
        ("[bc]/?.png", lambda name: "/b/" in name or "/c/" in name),
        ("*.parquet", lambda name: ".parquet:" in name),
        ("plain.parquet", lambda name: "plain" in name),
        ("shard.tar", lambda name: "shard.tar:" in name),
    ],
)
def test_a_glob_or_a_single_file_stands_for_what_fits(trained, inputs, tmp_path, pattern, fits):
    bulk(trained, inputs.folder / pattern, tmp_path / "out")
    assert set(table(tmp_path / "out")) == {name for name in inputs.expected if fits(name)}


def test_large_row_groups_are_one_unit_and_small_ones_are_put_together(trained, empty, tmp_path):
    empty.parquet("large.parquet", [png(seed) for seed in range(10)], row_group_size=10)
    empty.parquet("small.parquet", [png(seed) for seed in range(10)], row_group_size=1, column="picture")
    bulk(trained, empty.folder, tmp_path / "out")
    assert table(tmp_path / "out").keys() == empty.expected.keys()
    sizes = [pq.read_metadata(part).num_rows for part in sorted((tmp_path / "out").glob("part-*"))]
    assert sizes == [10, 3, 3, 3, 1]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.parquet", b"PAR1 cut short", "is damaged or cut short"),
        ("x.parquet", b"", "is damaged or cut short"),
        ("x.tar", b"\x01" * 700, "is damaged or cut short"),
        ("x.tar.gz", b"\x1f\x8b\x08 no deflate", "is damaged or cut short"),
        ("x.png", b"", "is empty"),
    ],
)
def test_what_cannot_be_read_is_a_row_that_says_so(trained, empty, tmp_path, name, content, sentence):
    empty.picture(name, content)
    bulk(trained, empty.folder, tmp_path / "out")
    (row,) = table(tmp_path / "out").values()
    assert row["input"] == str(empty.folder / name)
    assert sentence in row["error"]
    assert row["class"] is None


def test_a_tar_file_cut_short_gives_the_pictures_before_the_cut_and_a_row_for_the_rest(trained, empty, tmp_path):
    empty.tar("x.tar", {f"{seed}.png": png(seed) for seed in range(6)})
    path = empty.folder / "x.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    bulk(trained, empty.folder, tmp_path / "out")
    found = table(tmp_path / "out")
    assert found[str(path)]["error"]
    good = [name for name, row in found.items() if row["class"]]
    assert good == [f"{path}:{number}.png" for number in range(len(good))]
    assert 1 <= len(good) < 6


def test_a_parquet_file_damaged_within_gives_every_row_once(trained, empty, tmp_path):
    empty.parquet("x.parquet", [png(seed) for seed in range(12)], row_group_size=4)
    path = empty.folder / "x.parquet"
    content = bytearray(path.read_bytes())
    place = pq.read_metadata(path).row_group(1).column(1).dictionary_page_offset or 0
    content[place : place + 200] = bytes(200)
    path.write_bytes(content)
    bulk(trained, empty.folder, tmp_path / "out")
    found = table(tmp_path / "out")
    assert found.keys() == empty.expected.keys()
    assert [row["error"] is None for row in found.values()] == [True] * 4 + [False] * 4 + [True] * 4


def test_an_empty_parquet_file_has_no_rows_and_does_no_harm(trained, empty, tmp_path):
    empty.parquet("a.parquet", [png(0)])
    pq.write_table(pq.read_table(empty.folder / "a.parquet").slice(0, 0), empty.folder / "b.parquet")
    bulk(trained, empty.folder, tmp_path / "out")
    assert table(tmp_path / "out").keys() == empty.expected.keys()


def test_a_parquet_file_without_pictures_is_told_with_its_columns(trained, empty, tmp_path):
    empty.folder.mkdir()
    pq.write_table(pq.read_table(_numbers(empty.folder)), empty.folder / "x.parquet")
    bulk(trained, empty.folder, tmp_path / "out")
    (row,) = table(tmp_path / "out").values()
    assert row["error"].endswith("has no column of pictures; its columns are a, b.")


def _numbers(folder):
    import pyarrow as pa

    pq.write_table(pa.table({"a": [1], "b": ["x"]}), folder / "x.parquet")
    return folder / "x.parquet"


def test_an_output_of_other_work_is_left_alone(trained, finished_run, inputs, tmp_path):
    out = tmp_path / "out"
    bulk(trained, inputs.folder, out)
    before = table(out)
    with pytest.raises(InputError, match="holds predictions with another top; name another --output"):
        bulk(trained, inputs.folder, out, top=1)
    with pytest.raises(InputError, match="with another input and classifier;"):
        bulk(finished_run, inputs.folder / "a", out)
    assert table(out) == before


def test_a_folder_of_something_else_is_left_alone(trained, inputs, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already, and no output of predict; name another"):
        bulk(trained, inputs.folder, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_an_output_within_the_input_is_refused(trained, inputs):
    with pytest.raises(InputError, match="name an --output outside of it"):
        bulk(trained, inputs.folder, inputs.folder / "out")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere", "There is no .*nowhere; check the name"),
        ("a/*.gif", "there are no pictures there"),
        ("s4://bucket/x", "s4://bucket/x cannot be opened .*; check how it is written"),
    ],
)
def test_an_input_of_nothing_is_refused_before_anything_is_written(trained, inputs, tmp_path, name, sentence):
    where = name if "://" in name else inputs.folder / name
    with pytest.raises(InputError, match=sentence):
        bulk(trained, where, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_sentence_and_nothing_is_half_written(trained, inputs, tmp_path, monkeypatch):
    def full(path, content):
        raise StorageError(f"Cannot write {path}: the disk is full. Free some space and try again.")

    bulk(trained, inputs.folder / "a", tmp_path / "out")
    inputs.picture("a/more.png", png(1))
    with monkeypatch.context() as patch:
        patch.setattr(output, "write_bytes", full)
        with pytest.raises(StorageError, match="the disk is full"):
            bulk(trained, inputs.folder / "a", tmp_path / "out")
    bulk(trained, inputs.folder / "a", tmp_path / "out")
    assert set(table(tmp_path / "out")) == {name for name in inputs.expected if "/a/" in name}


def test_a_network_that_predicts_no_numbers_ends_the_work(finished_run, inputs, tmp_path, monkeypatch):
    run = Run.open(finished_run)
    classifier = run.classifier()
    for weights in classifier.network.parameters():
        weights.data.mul_(float("inf"))
    monkeypatch.setattr(Run, "classifier", lambda run: classifier)
    with pytest.raises(RunError, match="predicts no numbers"):
        bulk(finished_run, inputs.folder, tmp_path / "out")


def test_the_command_line_says_what_was_written_and_how_to_read_it(tinysight, finished_run, inputs):
    outcome = tinysight("predict", finished_run, inputs.folder, "--output", "out.parquet", "--workers", 1)
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        f"{len(inputs.expected)} rows written to out.parquet",
        "3 images failed; see column `error`",
        "next: pandas.read_parquet('out.parquet'), or any other reader of Parquet folders",
    ]
    facts = json.loads(Path("out.parquet", "_tinysight.json").read_text())
    assert facts["classifier"] == str(finished_run)
    assert facts["remarks"] == list(Run.open(finished_run).classifier().remarks)
    again = tinysight("predict", finished_run, inputs.folder, "--output", "out.parquet", "--workers", 1)
    parts = len(list(Path("out.parquet").glob("part-*")))
    assert again.out.splitlines()[0] == f"0 rows written to out.parquet ({parts} shards already done)"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["a", "b", "--output", "out"], "--output: takes one input"),
        (["a", "--output", "out", "--json"], "--output: takes one input"),
        (["--test-index", 3, "--output", "out"], "--output: takes one input"),
        (["a", "--engine", "ray"], "--engine and --workers: need --output. Add --output OUT.parquet"),
        (["a", "--workers", 2], "--engine and --workers: need --output. Add --output OUT.parquet"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tinysight, finished_run, options, sentence):
    assert tinysight("predict", finished_run, *options).refusal().startswith(sentence)


@pytest.mark.parametrize(("package", "options"), [("pyarrow", []), ("ray", ["--engine", "ray"])])
def test_without_the_extra_it_says_what_to_install(tinysight, finished_run, inputs, monkeypatch, package, options):
    from tinysight import packages

    found = packages.version
    monkeypatch.setattr(packages, "version", lambda name: None if name == package else found(name))
    outcome = tinysight("predict", finished_run, inputs.folder, "--output", "out", *options)
    assert outcome.refusal() == f"{package}: not installed. Run pip install 'tinysight[scale]'."


def test_inputs_are_walked_in_the_same_order_every_time(tmp_path):
    from tinysight.bulk.places import Place
    from tinysight.bulk.units import size, units

    inputs = Inputs(tmp_path / "in")
    for number in np.random.default_rng(0).permutation(20):
        inputs.picture(f"{number % 3}/{number:02}.png", png(0))
    place = Place.of(str(inputs.folder))
    assert [*units(place)] == [*units(place)]
    assert [path for unit in units(place) for path in unit.paths] == sorted(inputs.expected)
    assert size(place) == sum(unit.size for unit in units(place)) == 20 * len(png(0))
