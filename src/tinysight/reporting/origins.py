"""Provenance of a dataset: source, consent and license of its images."""

from __future__ import annotations

from dataclasses import dataclass

NOT_STATED = "Not stated. The publisher of this model should fill this in."


@dataclass(frozen=True)
class Origin:
    """Source of the images, consent of photographers and people shown, and license."""

    source: str
    consent: str
    licence: str


_KNOWN = {
    "cifar10": Origin(
        "CIFAR-10 (Krizhevsky, 2009): 60,000 photographs of 32x32 pixels. They are a subset of 80 Million Tiny Images, "
        "which was collected from the web by search terms, and were labeled by paid students.",
        "No consent was obtained from the photographers or from people who may be shown. The authors of 80 Million "
        "Tiny Images withdrew it in 2020 because of offensive labels and images.",
        "The photographers granted no license.",
    ),
    "shapes": Origin(
        "Synthetic images that tinysight renders; no photographs.",
        "Not required: no person took these images or is shown in them.",
        "The license of tinysight.",
    ),
}


def origin_of(dataset: str) -> Origin:
    """Return the provenance of a built-in dataset; of any other, only its name is known."""
    return _KNOWN.get(dataset, Origin(f"A folder of images named {dataset}. {NOT_STATED}", NOT_STATED, NOT_STATED))
