"""Sessions of onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MAX_BYTES = 2 * 2**30  # bytes; protobuf's limit for one file


def open_session(content: bytes, n_threads: int = 0) -> InferenceSession:
    """Open the content of an ONNX file, from memory, so that onnxruntime cannot read other files.

    Args:
        content: of the file.
        n_threads: number of threads; 0 leaves it to onnxruntime. With a number, idle threads sleep, so that they do
            not slow down what torch computes between two calls.

    Raises:
        Exception: those of onnxruntime have no common base class.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal only: the callers' errors replace its messages
    if n_threads:
        options.intra_op_num_threads = n_threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
