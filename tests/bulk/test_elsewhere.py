"""Inputs and outputs in an object store: a server that speaks S3 stands in for one."""

import logging
from pathlib import Path

import pytest

from tests.bulk.conftest import table
from tinysight.bulk.places import Place
from tinysight.bulk.predict import predict
from tinysight.errors import InputError, StorageError
from tinysight.runs.run import Run

moto = pytest.importorskip("moto.server")


@pytest.fixture(scope="module")
def server():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield "{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def store(server, monkeypatch):
    """Return how to write down a place in the store."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    options = f"?endpoint_override={server}&scheme=http&region=us-east-1&allow_bucket_creation=true"
    bucket = Place.of(f"s3://pictures{options}")
    bucket.filesystem.create_dir("pictures")
    yield lambda name: f"s3://pictures/{name}{options}"
    bucket.filesystem.delete_dir_contents("pictures")


def uploaded(inputs, store):
    """Copy a folder into the store; return the names that its pictures have there."""
    place = Place.of(store("in"))
    for file in inputs.folder.rglob("*"):
        if file.is_file():
            path = f"{place.path}/{file.relative_to(inputs.folder).as_posix()}"
            with place.filesystem.open_output_stream(path, compression=None) as stream:
                stream.write(file.read_bytes())
    return {name.replace(str(inputs.folder), "s3://pictures/in") for name in inputs.expected}


def downloaded(uri, folder):
    place = Place.of(uri)
    folder.mkdir()
    for info in place.files():
        (folder / info.base_name).write_bytes(place.at(info.path).read(2**20))
    return folder


def bulk(run, asked, out):
    return predict(Run.open(Path(run)), asked, out, workers=1)


def test_pictures_in_a_store_give_the_rows_that_they_give_at_home(trained, inputs, store, tmp_path):
    names = uploaded(inputs, store)
    bulk(trained, str(inputs.folder), str(tmp_path / "home"))
    bulk(trained, store("in"), store("out.parquet"))
    away = table(downloaded(store("out.parquet"), tmp_path / "away"))
    assert away.keys() == names

    def at_home(text):
        return text and text.replace("s3://pictures/in", str(inputs.folder))

    said = {
        at_home(name): {**row, "input": at_home(name), "error": at_home(row["error"])} for name, row in away.items()
    }
    assert said == table(tmp_path / "home")


def test_it_goes_on_in_a_store_as_anywhere(trained, inputs, store, tmp_path):
    uploaded(inputs, store)
    first = bulk(trained, store("in"), store("out.parquet"))
    place = Place.of(store("out.parquet"))
    gone = next(info.path for info in place.files() if info.base_name.startswith("part"))
    place.filesystem.delete_file(gone)
    again = bulk(trained, store("in"), store("out.parquet"))
    assert 0 < again.rows < first.rows
    assert len(table(downloaded(store("out.parquet"), tmp_path / "away"))) == first.rows


def test_a_glob_in_a_store_stands_for_what_fits(trained, inputs, store, tmp_path):
    names = uploaded(inputs, store)
    bulk(trained, store("in/**/*.png"), str(tmp_path / "out"))
    assert set(table(tmp_path / "out")) == {name for name in names if name.endswith(".png") and ".tar" not in name}


def test_a_store_that_refuses_is_one_sentence(trained, inputs, store, tmp_path):
    with pytest.raises(InputError, match="There is no s3://pictures/nothing; check the name"):
        bulk(trained, store("nothing"), str(tmp_path / "out"))
    elsewhere = store("out").replace("pictures", "no-such-bucket").replace("allow_bucket_creation=true", "")
    with pytest.raises((InputError, StorageError), match="s3://no-such-bucket/out"):
        bulk(trained, str(inputs.folder), elsewhere)


def test_secrets_in_a_name_are_told_to_nobody(server):
    place = Place.of(f"s3://key:secret@pictures/in?endpoint_override={server}&scheme=http&region=us-east-1")
    assert str(place) == "s3://pictures/in"
