"""Worker process of a study: python -m tinysight.tuning.hand PATH END DATA_DIR."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tinysight.data import load
from tinysight.memory import keep_freed_memory
from tinysight.training.interruption import listening
from tinysight.tuning.study import Study
from tinysight.tuning.work import Hours, subject_of, work


def main() -> None:
    """Run trials of the study at PATH until END, in seconds since 1970; an empty DATA_DIR is the default."""
    path, end, data_dir = sys.argv[1:]
    hours = Hours(time.perf_counter(), time.perf_counter() + float(end) - time.time())
    keep_freed_memory()
    with listening() as interruption:
        study = Study.open(Path(path))
        record = study.record
        cifar_dir = Path(data_dir) if data_dir else None
        dataset = load.load(record.argument, record.recipe.data.image_size, cifar_dir, record.skip_bad)
        with study.joined():
            work(study, subject_of(record, dataset), hours, interruption)


if __name__ == "__main__":
    main()
