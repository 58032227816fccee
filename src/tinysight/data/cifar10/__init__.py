"""CIFAR-10: locate it on this machine in any layout, or download it, and read it."""

from tinysight.data.cifar10.finding import Location as Location
from tinysight.data.cifar10.finding import checked as checked
from tinysight.data.cifar10.finding import find as find
from tinysight.data.cifar10.finding import load as load
from tinysight.data.cifar10.finding import read as read
