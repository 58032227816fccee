"""The fifteen standard ways in which pictures get worse, each in five severities.

They are those of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations" (ICLR 2019), with the constants of its CIFAR-10-C, as operations on whole batches. The published set
of pictures was made by other code: snow, frost, fog and glass blur look alike here, but are not the same to the pixel.
"""

from tinysight.evaluation.corruptions.catalogue import CATALOGUE, SEVERITIES, Corruption

__all__ = ["CATALOGUE", "SEVERITIES", "Corruption"]
