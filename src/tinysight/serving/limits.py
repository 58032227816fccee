"""Request limits of a server process."""

from __future__ import annotations

from dataclasses import dataclass

from tinysight.models.classifier import Classifier, batch_size


@dataclass(frozen=True)
class Limits:
    """Request limits of a server process.

    Attributes:
        body: maximum bytes of an image.
        waiting: maximum requests in flight; further ones get status 429.
        seconds: time limit of a request, from its first byte to its response.
    """

    body: int = 10 * 2**20
    waiting: int = 32
    seconds: float = 10.0

    def batch(self, classifier: Classifier) -> int:
        """Return the maximum number of images per batch: small, because all requests wait for it."""
        return max(1, batch_size(classifier.image_size) // 16)
