"""The fifteen common corruptions of CIFAR-10-C, each at five severities.

Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations"
(ICLR 2019). The constants are those of CIFAR-10-C; the operations work on batches. Snow, frost, fog and glass blur
resemble the published images but do not match them pixel by pixel.
"""

from tinysight.evaluation.corruptions.registry import CORRUPTIONS as CORRUPTIONS
from tinysight.evaluation.corruptions.registry import SEVERITIES as SEVERITIES
from tinysight.evaluation.corruptions.registry import Corruption as Corruption

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corruption"]
