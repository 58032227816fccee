"""Fixtures for batch prediction: inputs of every kind, and the rows that are expected."""

import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def png(seed):
    """Return the bytes of a small PNG, different for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Inputs:
    """A directory of images in every supported form, and the expected names with their bytes."""

    folder: Path
    expected: dict[str, bytes | None] = field(default_factory=dict)

    def image(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.expected[str(path)] = content

    def parquet(self, name, contents, column="image", wrapped=False, row_group_size=4):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cells = [{"bytes": content, "path": None} for content in contents] if wrapped else contents
        pq.write_table(pa.table({"label": list(range(len(cells))), column: cells}), path, row_group_size=row_group_size)
        self.expected |= {f"{path}:{row}": content for row, content in enumerate(contents)}

    def tar(self, name, members, compression=""):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, f"w:{compression}") as archive:
            for member, content in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
                if member.endswith(".png"):
                    self.expected[f"{path}:{member}"] = content


@pytest.fixture
def empty(tmp_path):
    return Inputs(tmp_path / "in")


@pytest.fixture
def inputs(empty):
    """Images in directories, tar files and both kinds of Parquet files; some are unreadable."""
    for number in range(7):
        empty.image(f"{'abc'[number % 3]}/{number}.png", png(number))
    empty.image("a/_5.png", png(5))
    empty.image("a/broken.jpg", b"not an image")
    (empty.folder / "a" / "notes.txt").write_text("ignored")
    (empty.folder / "a" / ".hidden.png").write_bytes(png(0))
    empty.parquet("plain.parquet", [png(seed) for seed in range(20, 30)] + [None])
    empty.parquet("wrapped.parquet", [*(png(seed) for seed in range(30, 33)), b"broken"], wrapped=True)
    empty.tar("shard.tar", {f"x/{seed}.png": png(seed) for seed in range(40, 45)} | {"x/40.cls": b"3"})
    empty.tar("shard.tar.gz", {f"{seed}.png": png(seed) for seed in range(50, 53)}, "gz")
    return empty


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    """Make shards of three images, so that few images give many shards."""
    from tinysight.bulk import shards

    monkeypatch.setattr(shards, "IMAGES_PER_SHARD", 3)


def table(path):
    """Return the rows of an output by input name; every name must occur once."""
    rows = pq.read_table(path).to_pylist()
    by_name = {row["input"]: row for row in rows}
    assert len(by_name) == len(rows), "an input appears twice"
    return by_name
