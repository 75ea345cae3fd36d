# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PySpark's daemon, whose workers say what CPU they took: it reaps them itself, so no rusage shows them.

Spark starts it in place of ``pyspark.daemon`` by ``spark.python.daemon.module``. After each task a worker writes its
CPU seconds so far into a file of its own below the folder that WORKER_CPU_FOLDER names.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark import daemon

FOLDER = "WORKER_CPU_FOLDER"


def reporting(work: Callable[..., Any]) -> Callable[..., Any]:
    """``work``, which says what it took."""

    def worker(*arguments: Any, **options: Any) -> Any:
        try:
            return work(*arguments, **options)
        finally:
            used = resource.getrusage(resource.RUSAGE_SELF)
            folder, name = Path(os.environ[FOLDER]), str(os.getpid())
            writing = folder / f".{name}"  # it may be killed meanwhile
            writing.write_text(str(used.ru_utime + used.ru_stime))
            writing.rename(folder / name)

    return worker


if __name__ == "__main__":
    daemon.worker = reporting(daemon.worker)
    daemon.manager()
