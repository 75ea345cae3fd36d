# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the job talks to: the canned DynamoDB, and an S3 with the export."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import CannedServer, canned, make_certificate

BUCKET = "staging"


@dataclass(frozen=True)
class Servers:
    """Both."""

    tables: CannedServer
    s3_url: str

    def put(self, key: str, content: bytes) -> None:
        """Put an object into the bucket."""
        request = urllib.request.Request(f"{self.s3_url}/{BUCKET}/{key}", content, method="PUT")
        with urllib.request.urlopen(request):
            pass


@contextmanager
def servers(folder: Path, delay: float = 0.0) -> Iterator[Servers]:
    """The servers, S3 with the files of ``folder``; ``delay`` are the seconds of a round trip to DynamoDB."""
    certificate = folder / "certificate.pem"
    make_certificate(certificate)
    with canned(certificate, delay) as tables:
        store = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.spark.store", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert store.stdin and store.stdout
        try:
            yield Servers(tables, f"http://127.0.0.1:{int(store.stdout.readline())}")
        finally:
            store.stdin.close()
            store.wait(10)
