"""Images under any content type, and the files of forms, as HTTP clients send them to /predict."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serving.conftest import ask, encoded, part

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

from fastapi.testclient import TestClient

from tinysight.serving.app import create_app
from tinysight.serving.service import RequestLimits

PNG = encoded()
LIMIT = len(PNG) + 100
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.png"\r\nContent-Type: image/png\r\n\r\n'
FORM = HEAD + PNG + b"\r\n--b--\r\n"


@pytest.fixture(scope="module")
def app(loaded):
    return create_app(loaded, RequestLimits(max_bytes=LIMIT))


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app) as client:
        yield client


@pytest.fixture(scope="module")
def roomy(loaded):
    with TestClient(create_app(loaded)) as client:
        yield client


@pytest.fixture(scope="module")
def expected(client):
    """The prediction for the image as a body of its own type."""
    return client.post("/predict", content=PNG, headers={"Content-Type": "image/png"}).json()


def answer_of(app, body, kind="multipart/form-data; boundary=b"):
    return ask(app, part(body), headers={"content-type": kind})


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG", "PNG"])
@pytest.mark.parametrize("stated", ["own", "image/jpg", "image/*", "application/octet-stream", None])
def test_image_is_read_by_its_content(roomy, kind, stated):
    content = encoded(kind=kind)
    headers = {} if stated is None else {"Content-Type": f"image/{kind.lower()}" if stated == "own" else stated}
    response = roomy.post("/predict", content=content, headers=headers)
    assert response.status_code == 200
    assert response.json() == roomy.post("/predict", files={"file": ("x", content)}).json()


def test_type_that_curl_states_for_a_body_is_accepted(client, expected):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/predict", content=PNG, headers=headers).json() == expected


@pytest.mark.parametrize(
    "file",
    [
        PNG,
        ("x.png", PNG),
        ("x.png", PNG, "image/png"),
        ("x.png", PNG, "text/html"),
        ('\N{SNOWMAN}; "a".png', PNG),
        (None, PNG, "image/png"),
    ],
)
@pytest.mark.parametrize("field", ["file", "image", "", "any name"])
def test_file_of_a_form_is_classified_whatever_its_names_and_type(client, expected, field, file):
    assert client.post("/predict", files={field: file}).json() == expected


def test_query_parameters_apply_to_forms(client):
    response = client.post("/predict", files={"file": PNG}, params={"top": 1})
    assert len(response.json()["top"]) == 1


@pytest.mark.parametrize(("excess", "status"), [(-1, 200), (0, 200), (1, 413), (10_000, 413)])
def test_file_of_a_form_has_the_limit_of_a_body(client, excess, status):
    content = PNG + bytes(LIMIT + excess - len(PNG))
    assert client.post("/predict", files={"file": ("x.png", content)}).status_code == status


def test_declared_length_far_above_the_limit_is_rejected_before_the_form_is_read(app):
    headers = {"content-type": "multipart/form-data; boundary=b", "content-length": str(LIMIT + 2**12 + 1)}
    assert ask(app, headers=headers).status == 413


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"data": {"name": "cat"}, "files": {"": (None, "x")}}, "only the field 'name' and no file"),
        ({"files": {"file": (None, "cat")}}, "only the field 'file' and no file"),
        ({"files": {"a": PNG, "b": PNG}}, "more than one file. Send one request for each image."),
        ({"files": [("a", PNG)] * 5}, "more than one file. Send one request for each image."),
        ({"files": {"file": PNG}, "data": {"top": "5"}}, "the field 'top' beside the file. Put options into the URL"),
        ({"files": {"file": b""}}, "its file is empty."),
    ],
)
def test_form_without_exactly_one_file_is_rejected(client, form, reason):
    response = client.post("/predict", **form)
    assert response.status_code == 400
    assert reason in response.json()["reason"]


def test_form_whose_file_is_no_image_is_rejected(client):
    response = client.post("/predict", files={"file": ("x.png", b"<html></html>", "image/png")})
    assert response.status_code == 422
    assert response.json()["reason"].startswith("Image: not a JPEG, PNG")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (FORM, "multipart/form-data"),
        (FORM, "multipart/form-data; boundary="),
        (FORM, "multipart/form-data; boundary=other"),
        (FORM, f"multipart/form-data; boundary={'b' * 71}"),
        (FORM[: -len("--\r\n")], "multipart/form-data; boundary=b"),
        (FORM[:60], "multipart/form-data; boundary=b"),
        (HEAD + PNG, "multipart/form-data; boundary=b"),
        (FORM.replace(b"--b\r\n", b"--bx\r\n"), "multipart/form-data; boundary=b"),
        (FORM.replace(b"\r\n", b"\n"), "multipart/form-data; boundary=b"),
        (HEAD.replace(b"png", b"png" * 9000) + b"\r\n--b--", "multipart/form-data; boundary=b"),
        (PNG, "multipart/form-data; boundary=b"),
    ],
)
def test_damaged_form_is_rejected(loaded, body, kind):
    answer = answer_of(create_app(loaded), body, kind)
    assert answer.status == 400
    assert answer.reason.startswith("Form: its boundaries are missing or damaged.")


def test_form_without_parts_is_rejected(app):
    answer = answer_of(app, b"--b--\r\n")
    assert (answer.status, answer.reason.partition(". ")[0]) == (400, "Form: has no parts")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (FORM, 'Multipart/Form-Data; charset=utf-8; BOUNDARY="b"; x=1'),
        (b"preamble\r\n" + FORM + b"epilogue", "multipart/form-data; boundary=b"),
        (FORM.replace(b"--b", b"--b \t"), "multipart/form-data;boundary=b"),
        (FORM.removesuffix(b"\r\n"), "multipart/form-data;boundary=b"),
        (FORM.replace(b"name=", b"name*=utf-8''%C3%A9; n="), "multipart/form-data;boundary=b"),
    ],
)
def test_form_of_any_valid_spelling_is_read(loaded, expected, body, kind):
    if b"--b \t" in body:
        body = body.replace(b"--b \t--", b"--b--")
    answer = answer_of(create_app(loaded), body, kind)
    assert answer.status == 200, answer.content


@given(st.binary(max_size=60), st.integers(0, len(FORM)), st.integers(0, 30))
def test_changed_form_is_read_or_rejected_in_a_sentence(app, inserted, start, removed):
    answer = answer_of(app, FORM[:start] + inserted + FORM[start + removed :])
    assert answer.status in (200, 400, 413, 422)
    if answer.status != 200:
        assert re.fullmatch(r"\w+: .+\.", answer.reason)


@given(st.text(st.sampled_from("\"';*=% \\abnme0123-\t\x00\x80"), max_size=80))
def test_headers_of_a_part_are_read_or_rejected_in_a_sentence(app, parameters):
    head = f"--b\r\nContent-Disposition: form-data; {parameters}\r\n\r\n".encode("latin-1")
    assert answer_of(app, head + PNG + b"\r\n--b--").status in (200, 400)
