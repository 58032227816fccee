"""How weights follow gradients: RMSprop and Adam as Keras has them, and Muon."""

from tinysight.training.optimisers.building import build as build
from tinysight.training.optimisers.optimiser import Optimiser as Optimiser
