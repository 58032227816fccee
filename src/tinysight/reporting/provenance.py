"""Provenance of a dataset: source, consent and license of its images."""

from __future__ import annotations

from dataclasses import dataclass

NOT_STATED = "Not stated. The publisher of this model should fill this in."


@dataclass(frozen=True)
class Provenance:
    """Source of the images, consent of photographers and people shown, and license."""

    source: str
    consent: str
    license: str


_KNOWN = {
    "cifar10": Provenance(
        "CIFAR-10 (Krizhevsky, 2009): 60,000 photographs of 32x32 pixels. They are a subset of 80 Million Tiny Images, "
        "which was collected from the web by search terms, and were labeled by paid students.",
        "No consent was obtained from the photographers or from people who may be shown. The authors of 80 Million "
        "Tiny Images withdrew it in 2020 because of offensive labels and images.",
        "The photographers granted no license.",
    ),
    "shapes": Provenance(
        "Synthetic images that tinysight renders; no photographs.",
        "Not required: no person took these images or is shown in them.",
        "The license of tinysight.",
    ),
}


def provenance_of(dataset: str) -> Provenance:
    """Return the provenance of a built-in dataset; of any other, only its name is known."""
    return _KNOWN.get(dataset, Provenance(f"A folder of images named {dataset}. {NOT_STATED}", NOT_STATED, NOT_STATED))
