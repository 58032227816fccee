"""How often the threshold for "unsure" breaks its promise, from 20 to 5,000 validation images.

    python benchmarks/unsure_promise.py [--draws 1000]

Draws validation images from populations with a known error at every threshold, and counts the draws whose chosen
threshold has an error above the target on the whole population. The promise allows 5% of the draws. Appends to
benchmarks/results/unsure_promise.jsonl.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from common import append, stamp
from numpy.typing import NDArray

from tinysight.models.selective import choose_threshold

SIZES = (20, 59, 100, 200, 500, 1000, 2000, 5000)
TARGETS = (0.05, 0.1)
POPULATION = 400_000  # images


@dataclass(frozen=True)
class Population:
    """A kind of classifier: the distribution of its confidences, and the accuracy at each confidence."""

    name: str
    confidences: Callable[[np.random.Generator, int], NDArray[np.float64]]
    accuracy: Callable[[NDArray[np.float64]], NDArray[np.float64]]


POPULATIONS = (
    Population("calibrated, accuracy .80", lambda random, n: random.beta(4, 1, n), lambda c: c),
    Population("overconfident", lambda random, n: random.beta(6, 1, n), lambda c: c**3),
    Population("underconfident", lambda random, n: random.beta(4, 1, n), lambda c: c**0.3),
    Population("accuracy .95", lambda random, n: random.beta(20, 1, n), lambda c: c),
    Population("uninformative, error .06", lambda random, n: random.random(n), lambda c: np.full(len(c), 0.94)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    arguments = parser.parse_args()
    for population in POPULATIONS:
        for target in TARGETS:
            by_n = {n: simulate(population, n, target, arguments.draws) for n in SIZES}
            worst = max(by_n, key=lambda n: by_n[n][0])
            coverages = ", ".join(f"{coverage:.0%} (n = {n:,})" for n, (_, coverage) in by_n.items())
            row = {
                "claim": f"{population.name}, target error {target:.0%}: broken promises at the worst n; coverage",
                "ours": f"{by_n[worst][0]:.1%} (n = {worst:,}); {coverages}",
                "peer": f"allowed: 5%; coverage if the population were known: {best_coverage(population, target):.0%}",
                "ratio": "",
                "n": arguments.draws,
                "broken_and_coverage_by_n": by_n,
            }
            print(json.dumps(append("unsure_promise", {**row, **stamp()})), flush=True)


def simulate(population: Population, n: int, target: float, draws: int) -> tuple[float, float]:
    """Return the share of draws that break the promise, and the mean coverage."""
    random = np.random.default_rng(n)
    confidences, error = error_curve(population)
    broken = coverage = 0.0
    for _ in range(draws):
        sample = population.confidences(random, n)
        threshold = choose_threshold(sample, random.random(n) < population.accuracy(sample), target).threshold
        covered = int(np.searchsorted(-confidences, -threshold, side="right"))
        broken += covered > 0 and error[covered - 1] > target
        coverage += covered / POPULATION
    return round(broken / draws, 4), round(coverage / draws, 4)


def best_coverage(population: Population, target: float) -> float:
    """Return the largest coverage with an error of at most the target, if the population were known."""
    allowed = np.flatnonzero(error_curve(population)[1] <= target)
    return round((int(allowed[-1]) + 1) / POPULATION, 4) if len(allowed) else 0.0


def error_curve(population: Population) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the confidences of the population, highest first, and the error on the images down to each."""
    confidences = np.sort(population.confidences(np.random.default_rng(0), POPULATION))[::-1]
    return confidences, (1 - population.accuracy(confidences)).cumsum() / np.arange(1, POPULATION + 1)


if __name__ == "__main__":
    main()
