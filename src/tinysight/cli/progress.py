"""Progress of the commands: on the console, with the command line's words for arguments in its notices."""

from __future__ import annotations

from tinysight._util import console
from tinysight._util.progress import Progress
from tinysight.cli.usage import with_flags


class FlagProgress:
    """Progress that passes all reports to another one, and rewrites notices of the library with `with_flags`."""

    def __init__(self, target: Progress) -> None:
        self.start, self.advance, self.finish = target.start, target.advance, target.finish
        self._note = target.note

    def note(self, message: str) -> None:
        """Print a notice on its own line."""
        self._note(with_flags(message))


progress = FlagProgress(console.progress)
"""Progress of the process, which every command passes to the library."""
