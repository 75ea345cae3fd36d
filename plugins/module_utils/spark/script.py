# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Spark is given to run: the same script for AWS Glue, EMR Serverless and EMR, beside the package.

It is sent as it stands, and all Pythons of these services read it: it says which are too old.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

OLDEST = (3, 11)


def main() -> None:
    """Run the job of the package that Spark has put on the path. Exits where this Python is too old."""
    if sys.version_info < OLDEST:
        sys.exit(  # pylint: disable=ansible-bad-function
            "TableFerry's Spark job needs Python 3.11 or newer, and this is Python"
            f" {sys.version_info[0]}.{sys.version_info[1]}. Choose a newer release, or on EMR another PYSPARK_PYTHON."
        )
    from pyspark import SparkContext

    package: Any = import_module("tableferry")
    driver = import_module("tableferry.spark.driver")
    context = SparkContext(appName="tableferry")
    context.setLogLevel("ERROR")
    try:
        driver.main(sys.argv[1:], context, Path(package.__loader__.archive))
    finally:
        context.stop()


if __name__ == "__main__":
    main()
