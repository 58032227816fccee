"""CIFAR-10: locate it on this machine in any layout, or download it, and read it."""

from __future__ import annotations

from tinysight._util.errors import DataError
from tinysight.data.dataset import Dataset, Provenance
from tinysight.data.source import DataSource, LoadOptions
from tinysight.data.sources.cifar10.locate import Location as Location
from tinysight.data.sources.cifar10.locate import find as find
from tinysight.data.sources.cifar10.locate import load as load
from tinysight.data.sources.cifar10.locate import read as read
from tinysight.data.sources.cifar10.locate import verify as verify


class Cifar10Source(DataSource):
    """CIFAR-10, verified against the official checksums."""

    name = "cifar10"
    is_builtin = True
    fixed_size = 32
    provenance = Provenance(
        "CIFAR-10 (Krizhevsky, 2009): 60,000 photographs of 32x32 pixels. They are a subset of 80 Million Tiny Images, "
        "which was collected from the web by search terms, and were labeled by paid students.",
        "No consent was obtained from the photographers or from people who may be shown. The authors of 80 Million "
        "Tiny Images withdrew it in 2020 because of offensive labels and images.",
        "The photographers granted no license.",
    )

    def matches(self, spec: object) -> bool:
        """Return whether `spec` is "cifar10"."""
        return isinstance(spec, str) and spec == self.name

    def argument(self, spec: str) -> str:
        """Return `spec`."""
        return spec

    def load(self, spec: str, options: LoadOptions) -> Dataset:
        """Read or download the images. See `load`."""
        size = options.image_size
        if size != self.fixed_size:
            raise DataError(f"{spec}: images are 32x32, not {size}x{size}. Set data.image_size=32.")
        return verify(load(options.data_dir, options.progress))


SOURCE = Cifar10Source()
