"""The one file of a multipart/form-data body (RFC 7578), as `curl -F` and HTML forms send it."""

from __future__ import annotations

import re
import reprlib
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import collapse_rfc2231_value

from fastapi import HTTPException

MAX_ENVELOPE_BYTES = 2**12  # of a body without its file: two boundaries and the headers of one part
_MAX_HEADER_BYTES = 2**11  # parsing takes quadratic time, here 10 ms
_MAX_PARTS = 3  # more than one is refused, so the content of further ones does not matter

_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;,"]{1,70}))\s*(?:;|$)', re.IGNORECASE)
_DAMAGED = "Form: its boundaries are missing or damaged. Send the form again, and let the client set Content-Type."
_SEND = "Send the image as the only file, as in curl -F file=@cat.jpg."


def file_of_form(body: bytes, content_type: str) -> bytes:
    """Return the content of the only file in a form.

    Args:
        body: the body of a request.
        content_type: the value of its header, with the boundary.

    Raises:
        HTTPException: 400; the form is damaged, or holds anything but one file that is not empty.
    """
    parts = [_Part(text) for text in _split(body, content_type)]
    files, fields = [part for part in parts if part.is_file], [part for part in parts if not part.is_file]
    if not files:
        found = f"only the field {reprlib.repr(fields[0].name)} and no file" if fields else "no parts"
        raise HTTPException(400, f"Form: has {found}. {_SEND}")
    if len(files) > 1:
        raise HTTPException(400, "Form: has more than one file. Send one request for each image.")
    if fields:
        name = reprlib.repr(fields[0].name)
        raise HTTPException(
            400, f"Form: has the field {name} beside the file. Put options into the URL: /predict?top=1."
        )
    if not files[0].content:
        raise HTTPException(400, f"Form: its file is empty. {_SEND}")
    return files[0].content


def _split(body: bytes, content_type: str) -> list[bytes]:
    """Return the parts of a body: the headers of each, an empty line, and its content."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise HTTPException(400, _DAMAGED)
    delimiter = b"\r\n--" + (boundary[1] or boundary[2]).encode("latin-1")
    _, *pieces = (b"\r\n" + body).split(delimiter, _MAX_PARTS)
    parts: list[bytes] = []
    for piece in pieces:
        line, end, part = piece.partition(b"\r\n")
        if line.startswith(b"--"):  # the last boundary; what follows has no meaning
            return parts
        if line.strip(b" \t") or not end:
            break
        parts.append(part)
    if len(parts) == _MAX_PARTS:
        return parts  # the last of them holds all others
    raise HTTPException(400, _DAMAGED)


class _Part:
    """One part of a form."""

    def __init__(self, text: bytes) -> None:
        # A part without headers begins with its empty line.
        head, end, self.content = (b"\r\n" + text).partition(b"\r\n\r\n")
        if not end or len(head) > _MAX_HEADER_BYTES:
            raise HTTPException(400, _DAMAGED)
        headers: Message = BytesHeaderParser().parsebytes(head.removeprefix(b"\r\n"))
        self.name = collapse_rfc2231_value(headers.get_param("name", "", "content-disposition"))
        is_image = headers.get_content_maintype() == "image"
        self.is_file = headers.get_param("filename", None, "content-disposition") is not None or is_image
