# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads an object of S3 in pieces, to its end: a connection that breaks is taken up where it broke."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import FerryError

CHUNK_BYTES = 128 * 1024
BROKEN_READS = 5  # in a row, after which the reading ends


def stream_object(
    get: Callable[[Mapping[str, str]], Mapping[str, Any]], failed: Callable[[Exception], FerryError]
) -> Iterator[bytes]:
    """The bytes of the object of which ``get`` gives GetObject's answer, with more parameters where it is asked again:
    for the rest, of the same version. ``failed`` makes an error of what keeps breaking. Raises what ``get`` does."""
    at, etag, broken = 0, "", 0
    while True:
        answer = get({"Range": f"bytes={at}-", "IfMatch": etag} if at else {})
        etag, body = answer["ETag"], answer["Body"]
        end = at + int(answer["ContentLength"])
        try:
            for chunk in body.iter_chunks(CHUNK_BYTES):
                at, broken = at + len(chunk), 0
                yield chunk
        except OSError as error:
            cause: Exception = error
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("botocore", "urllib3"):
                raise
            cause = error
        else:
            if at >= end:
                return
            cause = ConnectionError("it ended early")
        finally:
            body.close()
        if at >= end:
            return
        broken += 1
        if broken > BROKEN_READS:
            raise failed(cause) from cause
