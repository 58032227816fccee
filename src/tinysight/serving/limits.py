"""What the server bears before it says no."""

from __future__ import annotations

from dataclasses import dataclass

from tinysight.models.classifier import Classifier, batch_size


@dataclass(frozen=True)
class Limits:
    """What each process of the server bears.

    Attributes:
        body: bytes of a picture.
        waiting: requests in hand at once; the next one is asked to come back.
        seconds: from the first byte of a request to its answer.
    """

    body: int = 10 * 2**20
    waiting: int = 32
    seconds: float = 10.0

    def batch(self, classifier: Classifier) -> int:
        """Return how many pictures are classified at once: few, since everybody waits for them."""
        return max(1, batch_size(classifier.image_size) // 16)
