"""A folder of everything that a bulk prediction takes, and what is told of it."""

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
    """Return the bytes of a small picture, another one for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Inputs:
    """A folder of pictures in every form, and where each of them ought to be found: its name and its bytes."""

    folder: Path
    expected: dict[str, bytes | None] = field(default_factory=dict)

    def picture(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.expected[str(path)] = content

    def parquet(self, name, contents, column="image", wrapped=False, row_group_size=4):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cells = [{"bytes": one, "path": None} for one in contents] if wrapped else contents
        pq.write_table(pa.table({"label": list(range(len(cells))), column: cells}), path, row_group_size=row_group_size)
        self.expected |= {f"{path}:{row}": content for row, content in enumerate(contents)}

    def tar(self, name, members, compression=""):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, f"w:{compression}") as shard:
            for member, content in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                shard.addfile(info, io.BytesIO(content))
                if member.endswith(".png"):
                    self.expected[f"{path}:{member}"] = content


@pytest.fixture
def empty(tmp_path):
    return Inputs(tmp_path / "in")


@pytest.fixture
def inputs(empty):
    """Pictures in folders, in tar files and in Parquet files of either kind, one of each kind unreadable."""
    for number in range(7):
        empty.picture(f"{'abc'[number % 3]}/{number}.png", png(number))
    empty.picture("a/_5.png", png(5))
    empty.picture("a/broken.jpg", b"no picture")
    (empty.folder / "a" / "notes.txt").write_text("not asked about")
    (empty.folder / "a" / ".hidden.png").write_bytes(png(0))
    empty.parquet("plain.parquet", [png(seed) for seed in range(20, 30)] + [None])
    empty.parquet("wrapped.parquet", [*(png(seed) for seed in range(30, 33)), b"broken"], wrapped=True)
    empty.tar("shard.tar", {f"x/{seed}.png": png(seed) for seed in range(40, 45)} | {"x/40.cls": b"3"})
    empty.tar("shard.tar.gz", {f"{seed}.png": png(seed) for seed in range(50, 53)}, "gz")
    return empty


@pytest.fixture(autouse=True)
def _small_units(monkeypatch):
    """As many units from few pictures as there would be from millions."""
    from tinysight.bulk import units

    monkeypatch.setattr(units, "PICTURES", 3)


def table(path):
    """Return the rows of an output, by the names of the inputs; each name must be there once."""
    rows = pq.read_table(path).to_pylist()
    by_name = {row["input"]: row for row in rows}
    assert len(by_name) == len(rows), "an input appears twice"
    return by_name
