# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports of invented tables, of any number of them: for the screenshots and the tests of the page."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from plugins.module_utils.core.report.document import Document, WrittenBy, document
from plugins.module_utils.core.report.left_to_do import left_to_do
from plugins.module_utils.core.report.row import TablePlace, Way, row

BEGUN = datetime(2026, 11, 29, 9, 0, tzinfo=UTC)
ACCOUNTS = ("111111111111", "222222222222")
REGION = "eu-west-1"
WORDS = (
    "orders", "customers", "sessions", "events", "invoices", "stock", "carts", "prices", "reviews", "devices",
    "shipments", "payments", "profiles", "tokens", "audit", "messages",
)  # fmt: skip
REFUSED = (
    "{name}: The table has local secondary indexes, which an import cannot make. Set ferry_method to backup or direct."
)
FAILED = (
    "{name}: The import ended FAILED: 12 items were refused (ItemValidationError). Look at the error log, mend the"
    " items in the source and run again."
)


def sample(number: int, seed: int = 7) -> Document:
    """The report of ``number`` tables; the same for the same ``seed``."""
    chance = random.Random(seed)
    written = WrittenBy("3f9ac1d27be04410", "migrate", (BEGUN + timedelta(hours=2)).isoformat(timespec="seconds"))
    return document((_row(chance, place) for place in range(number)), written)


def _row(chance: random.Random, place: int) -> dict[str, Any]:
    name = f"{WORDS[place % len(WORDS)]}-{place // len(WORDS):03d}" if place >= len(WORDS) else WORDS[place]
    way = Way(TablePlace(name, ACCOUNTS[0], REGION), TablePlace(name, ACCOUNTS[1], REGION))
    fate = place % 40 if place > 4 else (0, 1, 2, 3, 39)[place]
    method = "direct" if fate % 9 == 4 else "backup" if fate % 7 == 3 else "s3"
    items = int(10 ** chance.uniform(2, 8))
    jobs = dict(_jobs(chance, name, method, way, items * chance.randint(80, 3000)))
    if fate == 39:
        failure = {"ferry_status": "refused", "msg": REFUSED.format(name=name), "next_step": "Set ferry_method."}
        return {**_finished(row(name, "s3", failure=failure, way=way), set())}
    if fate == 17:
        del jobs["settings"]
        failure = {"ferry_status": "failed", "msg": FAILED.format(name=name), "next_step": "Mend the items."}
        return _finished(row(name, method, jobs=jobs, failure=failure, way=way), set())
    judged = {
        "status": "copied" if fate == 23 else "migrated",
        "items_source": items,
        "items_destination": items,
        "verified": "full" if fate % 3 == 0 else "counts",
        "data_as_of": {"from": BEGUN.isoformat(), "to": BEGUN.isoformat()},
        "notes": ["Items were written to the source while it was copied."] if fate == 5 else [],
    }
    return _finished(row(name, method, judgement=judged, jobs=jobs, way=way), {"stream", "point_in_time_recovery"})


def _finished(entry: dict[str, Any], settings: set[str]) -> dict[str, Any]:
    staged = ["The export lies in the staging bucket until cleanup, or for 30 days."] if entry["method"] == "s3" else []
    return {**entry, "to_do": left_to_do(entry, settings, BEGUN, staged)}


def _jobs(chance: random.Random, name: str, method: str, way: Way, size: int) -> Iterator[tuple[str, dict[str, Any]]]:
    kinds = {"s3": ("export", "import"), "backup": ("backup", "copy", "restore"), "direct": ("direct",)}[method]
    at = BEGUN + timedelta(seconds=chance.randint(0, 900))
    for kind in kinds:
        end = at + timedelta(seconds=chance.randint(200, 2400 if kind == kinds[-1] else 900))
        place = way.source if kind == "export" else way.destination
        arn = f"{place.arn}/{kind}/0{chance.getrandbits(44)}-{chance.getrandbits(32):08x}"
        result = {"start_time": at.isoformat(), "end_time": end.isoformat()}
        yield kind, {"kind": kind, "name": name, "state": "completed", "arn": arn, "result": result}
        at = end + timedelta(seconds=chance.randint(1, 30))
    times = {"start_time": at.isoformat(), "end_time": (at + timedelta(seconds=chance.randint(5, 90))).isoformat()}
    carried = ["tags", "stream", "time_to_live", "point_in_time_recovery"]
    left = [
        {
            "what": "kinesis_destination",
            "reason": "arn:aws:kinesis:eu-west-1:111111111111:stream/all is not in kinesis_map",
        }
    ]
    settings = {**times, "settings_carried": carried, "settings_left": left if chance.random() < 0.1 else []}
    settings["source_bytes"] = size
    yield "settings", {"kind": "settings", "name": name, "state": "completed", "arn": "", "result": settings}
