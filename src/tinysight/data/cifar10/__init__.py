"""CIFAR-10: found on this machine in whatever layout it lies here, or downloaded, and read."""

from tinysight.data.cifar10.finding import Location as Location
from tinysight.data.cifar10.finding import checked as checked
from tinysight.data.cifar10.finding import find as find
from tinysight.data.cifar10.finding import load as load
from tinysight.data.cifar10.finding import read as read
