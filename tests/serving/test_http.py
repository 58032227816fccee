"""HTTP rules: methods, query parameters, body limits, tokens, headers, and the files of the page."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serving.conftest import ask, encoded, part

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

from fastapi.testclient import TestClient

from tinysight.serving.app import create_app
from tinysight.serving.http import IMAGE_TYPES
from tinysight.serving.service import RequestLimits

PNG = encoded()
LIMIT = len(PNG) + 100
TOKEN = "s3cret~"  # noqa: S105
PUBLIC = ["/", "/page.css", "/page.js", "/healthz", "/readyz", "/metrics", "/openapi.json"]


@pytest.fixture(scope="module")
def app(loaded):
    return create_app(loaded, RequestLimits(max_bytes=LIMIT))


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app) as client:
        yield client


@pytest.fixture(scope="module")
def guarded(loaded):
    with TestClient(create_app(loaded, token=TOKEN)) as client:
        yield client


def post(client, content=PNG, kind="image/png", **options):
    return client.post("/predict", content=content, headers={"Content-Type": kind}, **options)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("excess", "status"), [(-1, 200), (0, 200), (1, 413)])
def test_body_may_have_exactly_the_maximum_number_of_bytes(client, excess, status, chunked):
    content = PNG + bytes(LIMIT + excess - len(PNG))
    response = post(client, iter([content[:10], content[10:]]) if chunked else content)
    assert ("content-length" in response.request.headers) != chunked
    assert response.status_code == status


def test_default_limit_is_10_mib_to_the_byte(loaded):
    with TestClient(create_app(loaded)) as client:
        assert post(client, PNG + bytes(10 * 2**20 - len(PNG))).status_code == 200
        response = post(client, PNG + bytes(10 * 2**20 - len(PNG) + 1))
    assert response.status_code == 413
    assert response.json() == {"reason": "Image: has more than 10 MiB. Send a smaller image."}


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 19, "1" * 5000, "0" * 30 + str(LIMIT + 1)])
def test_declared_length_above_the_limit_is_rejected_before_the_body_is_read(app, length):
    assert ask(app, headers={"content-length": length}).status == 413


@pytest.mark.parametrize("length", ["many", "-1", "+5", "1_0", "5.0", "0x10", "\N{SUPERSCRIPT TWO}", "1 2"])
def test_declared_length_that_is_no_number_is_rejected(app, length):
    answer = ask(app, headers={"content-length": length})
    assert answer.status == 400
    assert answer.reason == "Content-Length: is not a number. Send the number of bytes of the image."


def test_understated_length_does_not_lift_the_limit(app):
    assert ask(app, part(bytes(LIMIT), more=True), part(b"x"), headers={"content-length": "1"}).status == 413


def test_body_is_not_read_beyond_the_limit(app):
    """`ask` fails if the application reads a third part."""
    assert ask(app, part(bytes(LIMIT), more=True), part(b"x", more=True)).status == 413


def test_parts_of_a_body_are_joined_in_order(app):
    parts = [part(PNG[start : start + 7], more=True) for start in range(0, len(PNG), 7)]
    assert ask(app, *parts, part(b"")).content == ask(app, part(PNG)).content


@pytest.mark.parametrize("kind", ["image/png", "IMAGE/PNG", "image/png; charset=binary", " image/jpeg ;q=1"])
def test_content_type_is_compared_without_case_and_parameters(client, kind):
    assert post(client, kind=kind).status_code == 200


@pytest.mark.parametrize(
    "kind", ["image", "imagepng", "text/plain", "text/html; charset=utf-8", "application/json", "multipart/mixed"]
)
def test_other_content_types_are_rejected_before_the_body_is_read(app, kind):
    answer = ask(app, headers={"content-type": kind})
    assert answer.status == 415
    stated = kind.partition(";")[0]
    assert answer.reason == (
        f"Content-Type: is '{stated}', not an image type. Send the image as the body, or as the file of a form."
    )


@given(st.integers(1, 1000))
def test_top_is_the_number_of_classes_in_descending_order(client, top):
    choices = post(client, params={"top": top}).json()["top"]
    assert len(choices) == min(top, 10)
    probabilities = [choice["probability"] for choice in choices]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len({choice["index"] for choice in choices}) == len(choices)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("top=0", "top: Input should be greater than or equal to 1."),
        ("top=1001", "top: Input should be less than or equal to 1000."),
        ("top=many", "top: Input should be a valid integer, unable to parse string as an integer."),
        ("top=", "top: Input should be a valid integer, unable to parse string as an integer."),
        ("explain=maybe", "explain: Input should be a valid boolean, unable to interpret input."),
    ],
)
def test_invalid_query_parameter_is_named(client, query, reason):
    response = client.post(f"/predict?{query}", content=PNG, headers={"Content-Type": "image/png"})
    assert (response.status_code, response.json()) == (422, {"reason": reason})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *((method, "/predict", "POST") for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")),
        *(("POST", path, "GET") for path in ["/model", *PUBLIC]),
    ],
)
def test_other_methods_get_405_with_the_allowed_one(client, method, path, allowed):
    response = client.request(method, path, content=PNG, headers={"Content-Type": "image/png"})
    assert response.status_code == 405
    assert allowed in response.headers["Allow"].split(", ")
    assert method not in response.headers["Allow"].split(", ")


@pytest.mark.parametrize(
    "path", ["/secrets", "/page.html", "/page/page.js", "/..%2fapp.py", "/docs", "/redoc", "/model/x"]
)
def test_unknown_paths_get_404_as_json(client, path):
    response = client.get(path)
    assert (response.status_code, response.json()) == (404, {"reason": "Not Found"})


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),  # RFC 9110: schemes are case-insensitive
        (f"BEARER {TOKEN}", 200),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        (f"Token {TOKEN}", 401),
        (f"Bearer{TOKEN}", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN.upper()}", 401),
        (f"Bearer {TOKEN} {TOKEN}", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("", 401),
    ],
)
def test_token_is_accepted_only_as_a_bearer_token(guarded, authorization, status):
    response = guarded.get("/model", headers={"Authorization": authorization})
    assert response.status_code == status
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=20).filter(lambda text: text != TOKEN))
def test_no_other_token_is_accepted(guarded, text):
    response = guarded.get("/model", headers={"Authorization": f"Bearer {text}".encode("latin-1")})
    assert response.status_code == 401
    assert response.json() == {"reason": "Token: is missing or wrong. Send the header Authorization: Bearer TOKEN."}


def test_token_is_checked_before_the_body_is_read(loaded):
    app = create_app(loaded, token=TOKEN)
    assert ask(app).status == 401
    assert ask(app, part(PNG), headers={"authorization": f"Bearer {TOKEN}"}).status == 200


def test_token_in_the_address_is_not_accepted(guarded):
    assert guarded.get("/model", params={"token": TOKEN, "authorization": f"Bearer {TOKEN}"}).status_code == 401


@pytest.mark.parametrize("path", PUBLIC)
def test_page_and_monitoring_need_no_token(guarded, path):
    assert guarded.get(path).status_code == 200
    assert TOKEN not in guarded.get(path).text


@pytest.mark.parametrize("path", [*PUBLIC, "/model", "/predict", "/secrets"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_response_has_the_security_headers(client, guarded, method, path):
    for response in (client.request(method, path), guarded.request(method, path)):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        policy = dict(rule.split(" ", 1) for rule in response.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"


def test_response_to_an_internal_error_has_a_reason_and_the_security_headers(faulty):
    with TestClient(create_app(faulty(1)), raise_server_exceptions=False) as client:  # call 0 is the warm-up
        response = post(client)
    assert (response.status_code, response.json()) == (500, {"reason": "Server: internal error. See its log."})
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


class Elements(HTMLParser):
    """All elements of a page, and the text of its scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.inline, self._open = [], "", None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self._open = tag
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self._open in ("script", "style"):
            self.inline += data.strip()

    def values(self, attribute):
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


@pytest.fixture(scope="module")
def page(client):
    return Elements(client.get("/").text)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html; charset=utf-8"), ("/page.css", "text/css"), ("/page.js", "text/javascript")],
)
def test_files_of_the_page_have_their_types_and_are_checked_for_updates(client, path, kind):
    response = client.get(path)
    assert response.headers["Content-Type"].startswith(kind)
    assert response.headers["Cache-Control"] == "no-cache"
    assert len(response.content) == int(response.headers["Content-Length"]) > 0


def test_page_loads_only_files_that_the_server_has(client, page):
    addresses = [address for address in page.values("src") + page.values("href") if not address.startswith("data:")]
    assert sorted(addresses) == ["page.css", "page.js"]
    assert [client.get(f"/{address}").status_code for address in addresses] == [200, 200]


def test_page_has_nothing_inline_that_its_policy_blocks(page):
    assert page.inline == ""
    assert page.values("style") == []
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_script_uses_only_elements_of_the_page(client, page):
    script = client.get("/page.js").text
    ids, classes = set(re.findall(r'find\("#([\w-]+)"', script)), set(re.findall(r'find\("\.([\w-]+)', script))
    assert len(ids) > 10
    assert ids <= set(page.values("id"))
    assert classes <= {name for value in page.values("class") for name in value.split()}
    assert len(set(page.values("id"))) == len(page.values("id"))


def test_page_accepts_the_image_types_of_the_server(client, page):
    assert page.values("accept") == [",".join(IMAGE_TYPES)]
    types = ", ".join(f'"{kind}"' for kind in IMAGE_TYPES)
    assert f"const TYPES = [{types}];" in client.get("/page.js").text


def test_page_calls_documented_endpoints_with_documented_parameters(client):
    paths = client.get("/openapi.json").json()["paths"]
    calls = re.findall(r'request\("(\w+)(?:\?([^"]*))?"', client.get("/page.js").text)
    assert {name for name, _ in calls} == {"model", "predict"}
    for name, query in calls:
        (operation,) = paths[f"/{name}"].values()
        documented = {parameter["name"] for parameter in operation.get("parameters", [])}
        assert {pair.split("=")[0] for pair in query.split("&") if pair} <= documented


def test_page_states_its_language_title_and_scale(page):
    attributes = {tag: values for tag, values in page.elements if tag in ("html", "title", "h1", "main")}
    assert attributes["html"]["lang"] == "en"
    assert {"title", "h1", "main"} <= attributes.keys()
    assert "width=device-width, initial-scale=1" in page.values("content")
