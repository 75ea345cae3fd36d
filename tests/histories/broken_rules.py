# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of the record, each broken on purpose: random histories must find what comes of it.

``python -m tests.histories.broken_rules`` says how many histories of each method that takes.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import PropertyMock, patch

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import Replaced
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup import restore_jobs, restore_status
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import (
    fence,
    intended,
    intention,
    rules,
    transitions,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.fence import Fence
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.gate import Attempt, Attempts, Gate
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Record
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import Run
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import claiming, settings_job
from tests.histories.history import Violation, play
from tests.histories.plan import METHODS, draw

ROOMS = (rules, intended, transitions)  # which import the functions of the first by name


def _nothing(*_args: Any, **_more: Any) -> None:
    """Whatever is asked, it is allowed."""


def _everywhere(name: str, value: Any) -> list[Any]:
    return [patch.object(room, name, value) for room in ROOMS if hasattr(room, name)]


def _claim_over_others(self: RecordStore, record: Record) -> Record:
    written = self._next(record, 1)
    self._put(written.to_item(), "attribute_not_exists(nothing)", {}, {})
    return written


def _write_over_others(self: RecordStore, before: Record, after: Record) -> Record:
    written = self._next(after, before.ver + 1)
    self._put(written.to_item(), "attribute_exists(pk)", {}, {})
    return written


def _take(record: Record, moment: Any, at: Fence) -> Record:
    return replace(record, run=moment.run, fence=at.at, signed_until=at.signed_until or 0)


def _let_go(record: Record, moment: Any, next: str = "") -> Record:
    return replace(record, run="", fence=fence.let_go(moment.unanswered).at, next=next or record.next)


def _at_once(now: float, _sends_until: float) -> Fence:
    return Fence(math.ceil(now))


def _lease_left_alone(_self: RecordStore, run: str, ended: Any, seen: Any) -> Any:
    return replace(seen, ended=ended) if seen is not None else seen


def _leave(self: Gate, date: float | None = None, subject: str | None = None) -> Attempt:
    return Attempt(next(self._numbers), self._subject if subject is None else subject, date or self._clock.now())


def _fence_of_the_record_alone(self: Tracking, **_more: Any) -> float:
    return max(0.0, self.record.fence - self._moment().now)


def _look_unaware(store: Any, source: Any, destination: Any, choice: Any) -> Any:
    try:
        return _LOOK(store, source, destination, choice)
    except Replaced:
        there = claiming.TableDefinition.find(destination, choice.table)
        here = claiming.TableDefinition.find(source, choice.source_table)
        return store.read(claiming.table_key(choice.table)), there, here


_LOOK = claiming.look
_APPLY = settings_job.apply_settings


def _broken_rules() -> Mapping[str, list[Any]]:
    """Patches for each rule of design section 6 that is in bold, or that one of these rests on."""
    return {
        "what excludes others is one item under a fixed key": [
            patch.object(RecordStore, "claim", _claim_over_others),
        ],
        "every write is over the version that was read": [patch.object(RecordStore, "write", _write_over_others)],
        "only after the fence come items, settings, deletions and done": [
            *_everywhere("require_fence", _nothing),
            patch.object(Tracking, "fence_left", lambda _self, **_more: 0.0),
        ],
        "the fence is never below the record's own": [
            patch.object(transitions, "take", _take),
            patch.object(transitions, "let_go", _let_go),
        ],
        "who lets go leaves a fence for what has no answer": [
            patch.object(fence, "let_go", lambda _unanswered: Fence()),
        ],
        "the fence of one that is gone is 60 s": [patch.object(fence, "GONE", 0)],
        "the fence of one that cannot be seen is 910 s": [patch.object(fence, "SIGNATURE", 60)],
        "the fence of one that the user says is gone is 60 to 220 s": [patch.object(fence, "taken_over", _at_once)],
        "the lease is ended first": [patch.object(RecordStore, "end_lease", _lease_left_alone)],
        "nothing leaves after until": [patch.object(Gate, "leave", _leave)],
        "an intention is closed only after fence and answers": [
            patch.object(intention, "closable_at", lambda *_args: -math.inf),
            patch.object(intention, "step", lambda *_args, **_more: "close"),
        ],
        "a refusal closes an intention only if every attempt was answered": [
            patch.object(Attempts, "all_answered", PropertyMock(return_value=True)),
        ],
        "the intention is written before the call": [
            patch.object(Tracking, "latest", lambda _self, _purpose: None),
        ],
        "no step without the same TableId": [
            *_everywhere("require_seen", _nothing),
            patch.object(claiming, "look", _look_unaware),
        ],
        "settings go only to the table that was filled": [
            patch.object(settings_job, "apply_settings", lambda *args: _APPLY(*args[:3], "")),
        ],
        "no done with an unanswered request of our own": [
            *_everywhere("require_quiet", _nothing),
            patch.object(Tracking, "fence_left", _fence_of_the_record_alone),
        ],
        "a table is gone only when two looks 30 s apart say so": [
            patch.object(claiming, "LOOKS_APART", 0),
            patch.object(transitions, "LOOKS_APART", 0),
        ],
        "an attempt's number is above all others": [
            patch.object(Record, "highest_attempt", property(lambda record: record.attempt - 1)),
        ],
        "a restore's table is created before its job ends": [
            patch.object(restore_status, "is_within", lambda *_args: True),
            patch.object(restore_jobs, "is_within", lambda *_args: True),
        ],
        "a waiter sends nothing later than 90 s after its last renewal": [
            patch.object(Run, "until", property(lambda run: run._until)),
        ],
    }


BROKEN_RULES = tuple(_broken_rules())


@contextmanager
def broken(rule: str) -> Iterator[None]:
    """Within, the product does without ``rule``, one of ``BROKEN_RULES``."""
    with ExitStack() as stack:
        for each in _broken_rules()[rule]:
            stack.enter_context(each)
        yield


def first_found(rule: str, method: str, seed: int, count: int, theme: str = "") -> Violation | None:
    """The first of ``count`` histories from ``seed`` on that finds what comes of doing without ``rule``; of one
    ``theme``, if it is named."""
    with broken(rule):
        for each in range(seed, seed + count):
            found = play(draw(method, each, theme))
            if found is not None:
                return found
    return None


def main() -> int:
    """Print after how many histories each rule is found; 1 where one is not found by any method."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rule", action="append", help="a part of its words; all, if it is left out")
    options.add_argument("--method", choices=METHODS, action="append")
    options.add_argument("--theme", default="", help="of the histories; all, if it is left out")
    options.add_argument("--count", type=int, default=300)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    unknown = 0
    for rule in BROKEN_RULES:
        if chosen.rule and not any(part in rule for part in chosen.rule):
            continue
        some = False
        for method in chosen.method or METHODS:
            began = time.monotonic()
            found = first_found(rule, method, chosen.seed, chosen.count, chosen.theme)
            words = f"{found.plan.seed - chosen.seed + 1}: {found.words[:100]}" if found else "not found"
            print(f"{rule} | {method} | {words} | {time.monotonic() - began:.0f} s", flush=True)
            some = some or found is not None
        unknown += not some
    return int(unknown > 0)


if __name__ == "__main__":
    sys.exit(main())
