"""CIFAR-10: locate it on this machine in any layout, or download it, and read it."""

from tinysight.data.sources.cifar10.locate import Location as Location
from tinysight.data.sources.cifar10.locate import find as find
from tinysight.data.sources.cifar10.locate import load as load
from tinysight.data.sources.cifar10.locate import read as read
from tinysight.data.sources.cifar10.locate import verify as verify
