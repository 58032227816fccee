"""Inputs and outputs in an object store, with moto as an S3 server."""

import logging
from pathlib import Path

import pytest

from tests.bulk.conftest import table
from tinysight._util.errors import InputError, StorageError
from tinysight.bulk.batch_predict import batch_predict
from tinysight.bulk.storage import RemotePath
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
    """Return a function that makes a URI in the store."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    options = f"?endpoint_override={server}&scheme=http&region=us-east-1&allow_bucket_creation=true"
    bucket = RemotePath.parse(f"s3://images{options}")
    bucket.filesystem.create_dir("images")
    yield lambda name: f"s3://images/{name}{options}"
    bucket.filesystem.delete_dir_contents("images")


def upload(inputs, store):
    """Copy the inputs into the store; return the expected names."""
    place = RemotePath.parse(store("in"))
    for file in inputs.folder.rglob("*"):
        if file.is_file():
            path = f"{place.path}/{file.relative_to(inputs.folder).as_posix()}"
            with place.filesystem.open_output_stream(path, compression=None) as stream:
                stream.write(file.read_bytes())
    return {name.replace(str(inputs.folder), "s3://images/in") for name in inputs.expected}


def download(uri, folder):
    place = RemotePath.parse(uri)
    folder.mkdir()
    for info in place.iter_files():
        (folder / info.base_name).write_bytes(place.with_path(info.path).read(2**20))
    return folder


def predict_all(run, images, out):
    return batch_predict(Run.open(Path(run)), images, out, workers=1)


def test_object_store_gives_the_same_rows_as_local_files(trained, inputs, store, tmp_path):
    names = upload(inputs, store)
    predict_all(trained, str(inputs.folder), str(tmp_path / "local"))
    predict_all(trained, store("in"), store("out.parquet"))
    remote = table(download(store("out.parquet"), tmp_path / "remote"))
    assert remote.keys() == names

    def local_name(text):
        return text and text.replace("s3://images/in", str(inputs.folder))

    renamed = {
        local_name(name): {**row, "input": local_name(name), "error": local_name(row["error"])}
        for name, row in remote.items()
    }
    assert renamed == table(tmp_path / "local")


def test_resumes_in_an_object_store(trained, inputs, store, tmp_path):
    upload(inputs, store)
    first = predict_all(trained, store("in"), store("out.parquet"))
    place = RemotePath.parse(store("out.parquet"))
    part = next(info.path for info in place.iter_files() if info.base_name.startswith("part"))
    place.filesystem.delete_file(part)
    again = predict_all(trained, store("in"), store("out.parquet"))
    assert 0 < again.rows < first.rows
    assert len(table(download(store("out.parquet"), tmp_path / "remote"))) == first.rows


def test_glob_in_an_object_store(trained, inputs, store, tmp_path):
    names = upload(inputs, store)
    predict_all(trained, store("in/**/*.png"), str(tmp_path / "out"))
    assert set(table(tmp_path / "out")) == {name for name in names if name.endswith(".png") and ".tar" not in name}


def test_object_store_errors_are_one_sentence(trained, inputs, store, tmp_path):
    with pytest.raises(InputError, match=r"s3://images/nothing: does not exist\. Check the name"):
        predict_all(trained, store("nothing"), str(tmp_path / "out"))
    missing = store("out").replace("images", "no-such-bucket").replace("allow_bucket_creation=true", "")
    with pytest.raises((InputError, StorageError), match="s3://no-such-bucket/out"):
        predict_all(trained, str(inputs.folder), missing)


def test_credentials_in_a_uri_are_not_displayed(server):
    place = RemotePath.parse(f"s3://key:secret@images/in?endpoint_override={server}&scheme=http&region=us-east-1")
    assert str(place) == "s3://images/in"
