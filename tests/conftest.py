"""What the tests of several folders share: a finished run, a folder of pictures, and a disk that fails when told to."""

import io
import itertools
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

# No test depends on the clock: a cold start must not fail one. What is drawn and asserted stays the same.
settings.register_profile("tinysight", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tinysight")

# Nor on how wide the screen is: what the environment says of it when rich is imported, rich keeps to for good.
os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep the tests out of the cache of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Networks as small as here gain nothing from a second thread: it only waits for the first."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of 20 reddish cats and 20 bluish dogs, of several sizes."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, channel in (("cat", 0), ("dog", 2)):
        (folder / name).mkdir()
        for number in range(20):
            pixels = random.integers(0, 120, (30 + number, 40, 3), dtype=np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The directory of a run of two epochs on 100 `shapes`, to be left as it is."""
    from tinysight.data.load import load
    from tinysight.recipes import loading
    from tinysight.training.train import Plan, train

    path, argument = tmp_path_factory.mktemp("finished") / "run", "shapes:train=100,test=30"
    recipe = loading.load("early-stopping", ["training.epochs=2"])
    train(Plan(recipe, load(argument), argument, seed=0, precision="fp32"), path)
    return path


@pytest.fixture
def finished_run(trained, tmp_path):
    """The same, a copy to do anything to."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@dataclass
class Outcome:
    """How a command ended: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    def refusal(self, code=2):
        """Return the one sentence that it was refused with."""
        *notices, last = self.err.splitlines()
        assert self.code == code
        assert last.startswith("error: ")
        assert not [line for line in notices if line.startswith("error: ")]
        return last.removeprefix("error: ")


@pytest.fixture
def tinysight(monkeypatch, capsys, tmp_path):
    """Run a command line in this process, in an empty folder: `tinysight("train", "deep")`."""
    from tinysight.cli import main

    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("TINYSIGHT_DATA_DIR", raising=False)

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["tinysight", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return Outcome(code, *capsys.readouterr())

    return run


class PowerCutError(BaseException):
    """The machine is off: nothing that a program does after this has any effect."""


class Disk:
    """Notes every call that changes the disk, and fails at the one it is told to.

    Attributes:
        calls: the names of the calls so far.
        off_at: at this call (counted from 0) and ever after, power is gone.
        fails: the error that calls of a name end with.
    """

    CHANGES = ("open", "mkdir", "chmod", "replace", "rename", "unlink", "fsync")

    def __init__(self, patch):
        self.calls, self.off_at, self.fails = [], None, {}
        for name in self.CHANGES:
            patch.setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name, call):
        def watched(*arguments, **keywords):
            if len(self.calls) == self.off_at:
                raise PowerCutError
            if name in self.fails:
                raise OSError(self.fails[name], os.strerror(self.fails[name]))
            self.calls.append(name)
            return call(*arguments, **keywords)

        return watched


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def power_cuts(monkeypatch):
    """Do `work` again and again, each time cutting the power one call later, until it comes to its end.

    `for _ in power_cuts(work)`: the body looks at what each cut, and in the end none, has left.
    """

    def every(work):
        for off_at in itertools.count():
            with monkeypatch.context() as patch:
                disk = Disk(patch)
                disk.off_at = off_at
                with suppress(PowerCutError):
                    work()
                finished = len(disk.calls) < off_at
            yield
            if finished:
                return

    return every


ON_REAL_DATA = pytest.StashKey[set]()


def pytest_collection_finish(session):
    """Note which tests want the real CIFAR-10."""
    session.config.stash[ON_REAL_DATA] = {item.nodeid for item in session.items if item.get_closest_marker("data")}


def on_real_data(config, *outcomes):
    """Return which of them ended so."""
    stats = config.pluginmanager.get_plugin("terminalreporter").stats
    ended = {report.nodeid for outcome in outcomes for report in stats.get(outcome, [])}
    return ended & config.stash.get(ON_REAL_DATA, set())


def all_skipped_although_promised(config):
    """Return whether none of them ran although TINYSIGHT_DATA_DIR says that the images are there."""
    ran, skipped = on_real_data(config, "passed", "failed"), on_real_data(config, "skipped")
    return bool(os.environ.get("TINYSIGHT_DATA_DIR") and skipped and not ran)


def pytest_sessionfinish(session):
    """Do not let a mistyped folder look like success."""
    if session.exitstatus == pytest.ExitCode.OK and all_skipped_although_promised(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    """Say how many of them had it."""
    ran, skipped = len(on_real_data(config, "passed", "failed")), len(on_real_data(config, "skipped"))
    if ran or skipped:
        terminalreporter.write_line(f"on real CIFAR-10: {ran} tests ran, {skipped} were skipped")
    if all_skipped_although_promised(config):
        terminalreporter.write_line("failed: TINYSIGHT_DATA_DIR holds no CIFAR-10; mend or unset it", red=True)
