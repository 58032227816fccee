"""Fixtures for serving: encoded images, a served model, and requests as ASGI messages."""

import asyncio
import io
import json
from dataclasses import dataclass

import pytest
from PIL import Image


def encoded(color=(200, 30, 30), size=(40, 30), kind="PNG"):
    """Return an image of one color as the bytes of a file."""
    content = io.BytesIO()
    Image.new("RGB", size, color).save(content, kind)
    return content.getvalue()


@pytest.fixture(scope="session")
def loaded(trained):
    """The served model, without an index of the training images; tests must not change it."""
    from tinysight.runs.run import Run
    from tinysight.serving.served_model import ServedModel

    return ServedModel(Run(trained))


@dataclass
class Answer:
    """A response to a request of ASGI messages."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def reason(self):
        return json.loads(self.content)["reason"]


def ask(app, *messages, headers=None, method="POST", path="/predict"):
    """Send a request whose body is given as ASGI messages; reading more than these raises an error."""

    async def call():
        sent, remaining = [], iter(messages)

        async def receive():
            message = next(remaining, None)
            assert message is not None, "the application reads more of the body than there is"
            return message

        async def send(message):
            sent.append(message)

        given = {"content-type": "image/png"} | (headers or {})
        await app(
            {
                "type": "http",
                "method": method,
                "path": path,
                "query_string": b"",
                "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            },
            receive,
            send,
        )
        return sent

    start, *bodies = asyncio.run(call())
    response_headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], response_headers, b"".join(body.get("body", b"") for body in bodies))


def part(content, more=False):
    """Return the ASGI message of a part of a body."""
    return {"type": "http.request", "body": content, "more_body": more}


class Faulty:
    """A classifier that raises an error in the given calls, counted from 0."""

    def __init__(self, classifier, *failing):
        self._classifier, self._failing, self._calls = classifier, failing, -1

    def __getattr__(self, name):
        return getattr(self._classifier, name)

    def outputs(self, pixels):
        self._calls += 1
        if self._calls in self._failing:
            raise ArithmeticError("a secret of the server")
        return self._classifier.outputs(pixels)


@pytest.fixture
def faulty(trained):
    """Return a function that makes a served model whose classifier fails in the given calls."""
    from tinysight.runs.run import Run
    from tinysight.serving.served_model import ServedModel

    def make(*failing):
        served = ServedModel(Run(trained))
        served.classifier = Faulty(served.classifier, *failing)
        return served

    return make
