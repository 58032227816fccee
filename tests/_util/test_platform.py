"""Behavior on Windows and macOS, with their functions substituted, and on this system."""

import ast
import ctypes
import io
import mmap
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tinysight._util import hardware, platform
from tinysight._util.allocator import tune_malloc
from tinysight._util.errors import StorageError
from tinysight._util.files import atomic_dir, write_bytes
from tinysight.data import pixels
from tinysight.training.signals import catch_signals

POSIX = pytest.mark.skipif(platform.WINDOWS, reason="behavior of POSIX systems")


class Kernel32:
    """The functions of Windows that tinysight calls; records the calls of `SetConsoleCtrlHandler`."""

    def __init__(self):
        self.ctrl_handlers = []

    def SetConsoleCtrlHandler(self, routine, add):  # noqa: N802
        self.ctrl_handlers.append((routine, add))

    def GlobalMemoryStatusEx(self, status):  # noqa: N802
        assert ctypes.sizeof(status) == status[0] == 64
        status[1] = 16 * 2**30

    def IsProcessorFeaturePresent(self, number):  # noqa: N802
        return number == 40


@pytest.fixture
def windows(monkeypatch):
    """Make `platform` behave as on Windows; return the substitute of kernel32."""
    kernel32 = Kernel32()
    monkeypatch.setattr(platform, "WINDOWS", True)
    monkeypatch.setattr(platform, "CAN_SYNC_DIRS", False)
    monkeypatch.setattr(platform, "sys", SimpleNamespace(platform="win32", stdout=None, stderr=None))
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel32), raising=False)
    return kernel32


@pytest.fixture
def refusals(monkeypatch):
    """Make `os.replace` fail so many times as the list has errors; record the pauses in `refusals.pauses`."""
    real_replace = os.replace
    errors, pauses = [], []

    def replace(source, target):
        if errors:
            raise errors.pop()
        real_replace(source, target)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(platform.time, "sleep", pauses.append)
    return SimpleNamespace(errors=errors, pauses=pauses)


def sharing_violation():
    error = PermissionError(13, "The process cannot access the file")
    error.winerror = 32
    return error


def test_a_file_held_by_a_virus_scanner_is_replaced_after_retries(windows, refusals, tmp_path):
    write_bytes(tmp_path / "file", b"old")
    refusals.errors += [sharing_violation() for _ in range(3)]
    write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(refusals.pauses) == 3
    assert refusals.pauses == sorted(refusals.pauses)


def test_a_file_that_stays_in_use_is_an_error_and_keeps_its_content(windows, refusals, tmp_path):
    write_bytes(tmp_path / "file", b"old")
    refusals.errors += [sharing_violation() for _ in range(100)]
    with pytest.raises(StorageError, match=r"file: another program has opened the file\. Close it and try again\."):
        write_bytes(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"
    assert sum(refusals.pauses) < 2


@POSIX
def test_posix_systems_do_not_retry(refusals, tmp_path):
    refusals.errors.append(PermissionError(13, "denied"))
    with pytest.raises(StorageError, match="permission denied"):
        write_bytes(tmp_path / "file", b"new")
    assert refusals.pauses == []


@pytest.mark.parametrize("winerror", [32, 33, 1224])
def test_opened_and_mapped_files_are_in_use(winerror):
    error = OSError(13, "refused")
    assert not platform.is_in_use(error)
    error.winerror = winerror
    assert platform.is_in_use(error)


def test_an_empty_folder_is_replaced_where_the_system_refuses_it(windows, tmp_path, monkeypatch):
    real_replace = os.replace

    def replace(source, target):
        if os.path.exists(target):
            raise PermissionError(13, "Access is denied")
        real_replace(source, target)

    monkeypatch.setattr(os, "replace", replace)
    (tmp_path / "run").mkdir()
    with atomic_dir(tmp_path / "run") as draft:
        (draft / "file").touch()
    assert (tmp_path / "run" / "file").exists()


def test_a_folder_with_files_is_not_replaced(windows, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    with pytest.raises(StorageError), atomic_dir(tmp_path / "run"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "mine"]


def test_folders_are_not_opened_where_they_cannot_be_synced(windows, tmp_path, disk):
    write_bytes(tmp_path / "new" / "file", b"")
    assert disk.calls == ["mkdir", "open", "fsync", "chmod", "replace"]


def test_ctrl_break_is_a_request_to_stop(monkeypatch):
    number = signal.SIGTERM if platform.WINDOWS else signal.SIGUSR1
    monkeypatch.setattr(signal, "SIGBREAK", number, raising=False)
    assert platform.stop_signals() == [signal.SIGINT, signal.SIGTERM, number]
    with catch_signals() as request:
        signal.raise_signal(number)
    assert request.requested


def test_stop_signals_exist_on_every_system(monkeypatch):
    monkeypatch.delattr(signal, "SIGBREAK", raising=False)
    assert platform.stop_signals() == [signal.SIGINT, signal.SIGTERM]


class Child:
    """A child process that records what it is sent."""

    def __init__(self):
        self.received = []

    def terminate(self):
        self.received.append("terminate")

    def send_signal(self, number):
        self.received.append(number)


def test_a_child_gets_ctrl_break_instead_of_being_killed(windows, monkeypatch):
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    child = Child()
    platform.request_stop(child)
    assert child.received == [1]


@POSIX
def test_a_child_is_terminated():
    child = Child()
    platform.request_stop(child)
    assert child.received == ["terminate"]
    assert platform.NEW_PROCESS_GROUP == 0  # Popen rejects other values


def test_children_on_windows_start_while_ctrl_c_is_off(windows):
    with platform.children_ignore_ctrl_c():
        assert windows.ctrl_handlers == [(None, 1)]
    assert windows.ctrl_handlers == [(None, 1), (None, 0)]


@POSIX
def test_a_child_ignores_ctrl_c_and_this_process_gets_it_afterwards():
    program = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('survived')"
    events = []

    def interrupt_both():
        with platform.children_ignore_ctrl_c():
            events.append(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
            signal.raise_signal(signal.SIGINT)
            events.append("still running")

    # Shells start processes in the background with SIGINT ignored; Python then sets no handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt_both()
    finally:
        signal.signal(signal.SIGINT, before)
    assert events == [b"survived\n", "still running"]


def test_pages_of_a_mapping_are_released_or_kept(windows, tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "MAX_IN_MEMORY_BYTES", 0)
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    images.tofile(tmp_path / "pixels")
    mapped = pixels.open_pixels(tmp_path / "pixels", images.shape)
    assert (np.concatenate(list(pixels.iter_chunks(mapped, 1))) == images).all()


@POSIX
def test_released_pages_are_read_again(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    with (tmp_path / "file").open("rb") as file, mmap.mmap(file.fileno(), 7, access=mmap.ACCESS_READ) as mapping:
        platform.release_pages(mapping)
        assert mapping[:] == b"content"


def test_malloc_is_tuned_only_where_it_can_be(windows):
    assert platform.mallopt() is None
    tune_malloc.__wrapped__()


def test_malloc_of_another_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "WINDOWS", False)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert platform.mallopt() is None


def test_memory_and_processor_are_read_on_windows(windows, monkeypatch):
    class Key:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    registry = SimpleNamespace(
        HKEY_LOCAL_MACHINE="machine",
        OpenKey=lambda hive, path: Key(),
        QueryValueEx=lambda key, name: ("AMD Ryzen 7", 1) if name == "ProcessorNameString" else None,
    )
    monkeypatch.setitem(sys.modules, "winreg", registry)
    facts = platform.processor_facts()
    assert hardware.processor_name(facts) == "AMD Ryzen 7"
    assert hardware.processor_features(facts) == {"avx2"}
    assert hardware.usable_memory("") == 16 * 2**30


def test_a_missing_registry_key_gives_no_facts(windows, monkeypatch):
    def refuse(*_):
        raise FileNotFoundError

    monkeypatch.setitem(sys.modules, "winreg", SimpleNamespace(HKEY_LOCAL_MACHINE=1, OpenKey=refuse))
    assert platform.processor_facts() == ""


def test_the_processor_is_read_on_macos(monkeypatch):
    monkeypatch.setattr(platform, "sys", SimpleNamespace(platform="darwin"))
    printed = SimpleNamespace(stdout="machdep.cpu.brand_string: Apple M2\nhw.optional.arm.FEAT_BF16: 1\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: printed)
    assert hardware.processor_name(platform.processor_facts()) == "Apple M2"
    assert hardware.native_bf16(platform.processor_facts()) is False


def test_all_cores_count_without_an_affinity(monkeypatch):
    monkeypatch.setattr(platform, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert platform.cpu_affinity() == 12


def test_a_hanging_sysctl_gives_no_facts(monkeypatch):
    def hang(*_, **__):
        raise subprocess.TimeoutExpired("sysctl", 5)

    monkeypatch.setattr(platform, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(subprocess, "run", hang)
    assert platform.processor_facts() == ""


def test_memory_of_this_machine_is_plausible():
    assert 2**28 < platform.installed_memory() < 2**50


ARGUMENTS = ["train", "my recipe.toml", "--data", r"C:\my photos", "it's"]


@POSIX
def test_a_printed_command_can_be_pasted():
    assert shlex.split(platform.join_command(ARGUMENTS)) == ARGUMENTS


def test_a_printed_command_on_windows_has_double_quotes(windows):
    assert platform.join_command(ARGUMENTS) == r'train "my recipe.toml" --data "C:\my photos" it' + "'s"


def console(monkeypatch, encoding, interactive):
    """Substitute standard output and error, and return the bytes of standard output."""
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding=encoding, errors="strict", write_through=True)
    stream.isatty = lambda: interactive
    monkeypatch.setattr(platform.sys, "stdout", stream)
    monkeypatch.setattr(platform.sys, "stderr", io.StringIO())  # as in a notebook
    platform.configure_output()
    stream.write("Kočka ± …")
    return content.getvalue()


def test_characters_that_the_terminal_lacks_are_escaped(windows, monkeypatch):
    assert console(monkeypatch, "cp1252", interactive=True) == "Ko\\u010dka ± …".encode("cp1252")


def test_output_to_a_file_on_windows_is_utf8(windows, monkeypatch):
    assert console(monkeypatch, "cp1252", interactive=False) == "Kočka ± …".encode()


@POSIX
def test_output_to_a_file_keeps_its_encoding(monkeypatch):
    assert console(monkeypatch, "latin-1", interactive=False) == b"Ko\\u010dka \xb1 \\u2026"


SYSTEM_SPECIFIC = {
    *("fcntl", "grp", "msvcrt", "pwd", "resource", "termios", "winreg"),  # modules
    *("fork", "forkpty", "getuid", "geteuid", "killpg", "mkfifo", "pread", "sched_getaffinity", "setsid", "sysconf"),
    *("AF_UNIX", "SO_REUSEPORT", "madvise", "pthread_sigmask", "sys.platform", "windll"),
    *("CTRL_BREAK_EVENT", "SIGALRM", "SIGBREAK", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2"),
}


def names_in(path):
    """Yield the imported modules and the attributes `os.NAME` and the like of a source file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield "sys.platform" if (node.value.id, node.attr) == ("sys", "platform") else node.attr


def test_no_other_module_depends_on_the_system():
    root = Path(platform.__file__).parents[1]
    dependent = {
        path.relative_to(root).as_posix() for path in root.rglob("*.py") if SYSTEM_SPECIFIC & {*names_in(path)}
    }
    assert dependent == {"_util/platform.py"}
