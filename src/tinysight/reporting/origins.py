"""What is known of where the images of a dataset come from, and whether anybody was asked."""

from __future__ import annotations

from dataclasses import dataclass

NOT_STATED = "Not stated. Whoever publishes this model should say it here."


@dataclass(frozen=True)
class Origin:
    """Where images come from, whether the people in them or behind them agreed, and under which licence they are."""

    source: str
    consent: str
    licence: str


_KNOWN = {
    "cifar10": Origin(
        "CIFAR-10 (Krizhevsky, 2009): 60,000 photographs of 32x32 pixels, chosen from 80 Million Tiny Images, which "
        "were collected from the web by search words, and labelled by paid students.",
        "Nobody was asked: neither the photographers nor the people who may be in the pictures. 80 Million Tiny Images "
        "was withdrawn by its authors in 2020 for offensive labels and pictures.",
        "None was given by those who took the photographs.",
    ),
    "shapes": Origin(
        "Procedural pictures that tinysight draws itself: no photographs.",
        "There is nobody to ask: no person took these pictures or is in them.",
        "That of tinysight.",
    ),
}


def origin_of(dataset: str) -> Origin:
    """Return what is known of a dataset; of a folder of somebody's own, only its name."""
    return _KNOWN.get(dataset, Origin(f"A folder of pictures named {dataset}. {NOT_STATED}", NOT_STATED, NOT_STATED))
