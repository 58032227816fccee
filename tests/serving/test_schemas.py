"""The OpenAPI document is valid, and every response matches the schema that it documents for the status."""

import copy
import json

import pytest

from tests.serving.conftest import encoded

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")
pytest.importorskip("jsonschema")

import jsonschema
from fastapi.openapi.models import OpenAPI
from fastapi.testclient import TestClient

from tinysight.serving.app import create_app
from tinysight.serving.http import IMAGE_TYPES
from tinysight.serving.service import RequestLimits

PNG = encoded()


@pytest.fixture(scope="module")
def client(loaded):
    with TestClient(create_app(loaded)) as client:
        yield client


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def operations(document):
    """Return the operations of a document by method and path."""
    return {(method, path): item for path, methods in document["paths"].items() for method, item in methods.items()}


def validator(document, method, path, status):
    """Return a validator of the JSON that is documented for a status; it resolves references in the document."""
    schema = document["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    return jsonschema.Draft202012Validator({"components": document["components"], **schema})


def references(value):
    """Return all references below a JSON value."""
    if isinstance(value, list):
        return {reference for item in value for reference in references(item)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own | {reference for item in value.values() for reference in references(item)}


def post(client, content=PNG, kind="image/png", **options):
    return client.post("/predict", content=content, headers={"Content-Type": kind}, **options)


def test_document_is_valid_openapi_with_valid_json_schemas(document):
    assert OpenAPI.model_validate(document).openapi.startswith("3.1.")
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert references(document) == {f"#/components/schemas/{name}" for name in schemas}, "dangling or unused schemas"


def test_document_lists_the_endpoints_but_not_the_files_of_the_page(document):
    assert set(operations(document)) == {
        ("post", "/predict"),
        ("get", "/model"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
    }


def test_every_operation_has_an_own_id_and_a_description(document):
    listed = list(operations(document).values())
    assert len({operation["operationId"] for operation in listed}) == len(listed)
    assert all(operation["description"].endswith(".") for operation in listed)


def test_body_is_documented_as_an_image_or_a_form_with_a_file(document):
    body = document["paths"]["/predict"]["post"]["requestBody"]
    assert body["required"] is True
    schemas = {kind: content["schema"] for kind, content in body["content"].items()}
    form = schemas.pop("multipart/form-data")
    assert sorted(schemas) == sorted([*IMAGE_TYPES, "application/octet-stream"])
    assert all(schema == {"type": "string", "format": "binary"} for schema in schemas.values())
    assert form["required"] == ["file"]
    assert form["properties"]["file"]["format"] == "binary"


def test_query_parameters_are_documented_with_defaults_and_limits(client, document):
    parameters = {item["name"]: item for item in document["paths"]["/predict"]["post"]["parameters"]}
    assert {(item["in"], item["required"]) for item in parameters.values()} == {("query", False)}
    assert {name: item["schema"]["default"] for name, item in parameters.items()} == {"top": 3, "explain": False}
    limits = parameters["top"]["schema"]
    assert (limits["minimum"], limits["maximum"]) == (1, 1000)
    assert len(post(client).json()["top"]) == limits["default"]
    statuses = [post(client, params={"top": limits[end]}).status_code for end in ("minimum", "maximum")]
    assert statuses == [200, 200]


SITUATIONS = {
    200: {},
    400: {"content": b""},
    401: {"token": "secret"},
    413: {"limits": RequestLimits(max_bytes=len(PNG) - 1)},
    415: {"kind": "text/plain"},
    422: {"content": b"not an image"},
    429: {"limits": RequestLimits(max_in_flight=0)},
    500: {"failing": [1]},
    503: {"limits": RequestLimits(timeout_seconds=1e-6)},
}


@pytest.mark.parametrize("status", SITUATIONS)
def test_response_of_predict_matches_the_schema_of_its_status(loaded, faulty, document, status):
    situation = dict(SITUATIONS[status])
    served = faulty(*situation.pop("failing")) if "failing" in situation else loaded
    settings = {name: situation.pop(name) for name in ("limits", "token") if name in situation}
    with TestClient(create_app(served, **settings), raise_server_exceptions=False) as client:
        response = post(client, **situation)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    validator(document, "post", "/predict", status).validate(response.json())
    if status != 200:
        object_, _, sentence = response.json()["reason"].partition(": ")
        assert object_
        assert sentence.endswith(".")
    assert response.headers.get("Retry-After") == ("1" if status in (429, 503) else None)


def test_every_documented_status_of_predict_occurs(document):
    assert {int(status) for status in document["paths"]["/predict"]["post"]["responses"]} == set(SITUATIONS)


def test_explanation_matches_its_schema(client, document):
    pytest.importorskip("captum")
    answer = post(client, params={"explain": "true"}).json()
    assert answer["explanation"] is not None
    validator(document, "post", "/predict", 200).validate(answer)
    values = [value for row in answer["explanation"]["occlusion_map"] for value in row]
    assert 0 <= min(values) <= max(values) <= 1


def test_description_of_the_classifier_matches_its_schema(client, document):
    validator(document, "get", "/model", 200).validate(client.get("/model").json())


def test_denied_description_matches_its_schema(loaded, document):
    with TestClient(create_app(loaded, token="secret")) as client:  # noqa: S106
        response = client.get("/model")
    assert response.status_code == 401
    validator(document, "get", "/model", 401).validate(response.json())


@pytest.mark.parametrize(("places", "status"), [(1, 200), (0, 503)])
def test_readiness_matches_its_schema(loaded, document, places, status):
    with TestClient(create_app(loaded, RequestLimits(max_in_flight=places))) as client:
        response = client.get("/readyz")
    assert (response.status_code, response.json()) == (status, {"ready": status == 200})
    validator(document, "get", "/readyz", status).validate(response.json())


def test_metrics_are_documented_as_text(document):
    assert list(document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == ["text/plain"]


def paths_to_keys(value, path=()):
    """Yield the path of every key below a JSON value; of a list, only below its first item."""
    if isinstance(value, list) and value:
        yield from paths_to_keys(value[0], (*path, 0))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from paths_to_keys(item, (*path, key))


def without(value, path):
    """Return a copy of a JSON value without one of its keys."""
    changed = inner = copy.deepcopy(value)
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return changed


@pytest.mark.parametrize(
    ("method", "path", "optional"), [("post", "/predict", {("explanation",)}), ("get", "/model", set())]
)
def test_schemas_require_every_key_that_is_always_there(client, document, method, path, optional):
    content = client.get(path).json() if method == "get" else post(client).json()
    check = validator(document, method, path, 200)
    accepted = {keys for keys in paths_to_keys(content) if check.is_valid(without(content, keys))}
    assert accepted == optional


def test_examples_of_the_schemas_are_valid(document):
    schemas = document["components"]["schemas"]
    examples = [
        (jsonschema.Draft202012Validator({"components": document["components"], **field}), example)
        for schema in schemas.values()
        for field in schema.get("properties", {}).values()
        for example in field.get("examples", [])
    ]
    assert len(examples) >= 5
    for check, example in examples:
        check.validate(example)


def test_document_does_not_depend_on_token_or_limits(loaded, document):
    with TestClient(create_app(loaded, RequestLimits(1, 1, 1.0), token="secret")) as client:  # noqa: S106
        assert json.dumps(client.get("/openapi.json").json()) == json.dumps(document)
