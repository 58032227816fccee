"""Differences between Linux, macOS and Windows; all other modules are portable."""

from __future__ import annotations

import ctypes
import io
import mmap
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

WINDOWS = sys.platform == "win32"

CAN_SYNC_DIRS = not WINDOWS
"""Whether a directory can be opened and synced. Windows cannot; NTFS keeps renames in its own journal."""

CAN_SHARE_PORTS = sys.platform == "linux"
"""Whether the system balances connections among sockets that listen on one port."""

NEW_PROCESS_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""The `creationflags` of a child that Ctrl-C does not reach and `request_stop` can stop on Windows; 0 elsewhere."""

_RETRY_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0)  # virus scanners hold a new file open for a moment
_IN_USE = (32, 33, 1224)  # Windows errors: sharing violation, lock violation, mapped file
_PROCESSOR_FEATURES = {"avx2": 40, "avx512f": 41}  # arguments of IsProcessorFeaturePresent, from winnt.h


def replace(source: Path, target: Path) -> None:
    """Rename `source` to `target`, in place of an existing file or an empty directory.

    Windows does not replace directories, and refuses while another program has the file open: retry for 1.5 s.

    Raises:
        OSError: the rename failed.
    """
    if not WINDOWS:
        source.replace(target)
        return
    if source.is_dir() and target.is_dir():
        target.rmdir()
    for seconds in _RETRY_SECONDS:
        try:
            source.replace(target)
            return
        except PermissionError:
            time.sleep(seconds)
    source.replace(target)


def is_in_use(error: OSError) -> bool:
    """Return whether Windows refused a change because a process has opened or memory-mapped the file.

    POSIX systems allow it: the process keeps the old content.
    """
    return getattr(error, "winerror", None) in _IN_USE


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask a process to stop: of Ctrl-C, of `kill`, and of Ctrl-Break on Windows."""
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def request_stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a child process to stop; on Windows it must have been started with `NEW_PROCESS_GROUP`."""
    if sys.platform == "win32":  # where `terminate` kills, and only Ctrl-Break can be sent
        process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        process.terminate()


@contextmanager
def children_ignore_ctrl_c() -> Iterator[None]:
    """Let processes that start inside the block ignore Ctrl-C; this process ignores it, too, inside the block."""
    if sys.platform == "win32":
        kernel32 = ctypes.windll.kernel32
        kernel32.SetConsoleCtrlHandler(None, 1)
        try:
            yield
        finally:
            kernel32.SetConsoleCtrlHandler(None, 0)
    else:
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def release_pages(mapping: mmap.mmap) -> None:
    """Release the pages of a read-only mapping; Windows does so by itself when memory is short."""
    if sys.platform != "win32":
        mapping.madvise(mmap.MADV_DONTNEED)


def mallopt() -> Callable[[int, int], int] | None:
    """Return the function that sets parameters of glibc's malloc, or None for other C libraries."""
    if WINDOWS:  # has no handle of the program itself
        return None
    function: Callable[[int, int], int] | None = getattr(ctypes.CDLL(None), "mallopt", None)
    return function


def installed_memory() -> int:
    """Return the bytes of memory of the machine."""
    if sys.platform == "win32":
        # MEMORYSTATUSEX, 64 bytes: its length and the load in the first 8, then the total.
        status = (ctypes.c_ulonglong * 8)(64)
        ctypes.windll.kernel32.GlobalMemoryStatusEx(status)
        return status[1]
    else:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def cpu_affinity() -> int:
    """Return the number of cores that the process may run on; all of them where the system has no affinity."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:
        return os.cpu_count() or 1


def processor_facts() -> str:
    """Return the processor's name and features as lines "key: value"; empty if the system does not provide them.

    The sources are /proc/cpuinfo on Linux, sysctl on macOS, and the registry and kernel32 on Windows, which reports no
    support for bfloat16.
    """
    try:
        if sys.platform == "win32":
            import winreg

            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key:
                name, _ = winreg.QueryValueEx(key, "ProcessorNameString")
            has_feature = ctypes.windll.kernel32.IsProcessorFeaturePresent
            flags = [feature for feature, number in _PROCESSOR_FEATURES.items() if has_feature(number)]
            return f"model name: {name}\nflags: {' '.join(flags)}\n"
        elif sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "machdep.cpu.brand_string", "hw.optional"]
            # sysctl fails if one name is unknown, and still prints the others.
            return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603
        else:
            return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except (OSError, subprocess.TimeoutExpired):
        return ""


def join_command(arguments: Sequence[str]) -> str:
    """Return a command line that the user's shell splits into `arguments`."""
    return subprocess.list2cmdline(arguments) if WINDOWS else shlex.join(arguments)


def configure_output() -> None:
    """Make standard output and error accept every character.

    What the encoding of the terminal lacks is escaped. Output to a file or a pipe on Windows is UTF-8, as elsewhere.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = "utf-8" if WINDOWS and not stream.isatty() else None
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
