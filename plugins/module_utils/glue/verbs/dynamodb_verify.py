# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares two tables item by item, and mends the destination on request."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from ...core.change import Change, to_diff
from ...core.items.differences import CompareProgress
from ...core.steps.comparison import Verification, VerifyOptions, mend, verify_tables
from ..accounts import Accounts
from ..spec import BOTH_ACCOUNTS_OPTIONS, COMPARING_OPTIONS, READING_OPTIONS, SHARED_OPTIONS, Progress, Verb, given

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **READING_OPTIONS,
    **COMPARING_OPTIONS,
    "name": {"type": "str", "required": True},
    **BOTH_ACCOUNTS_OPTIONS,
    "source_table": {"type": "str"},
    "level": {"type": "str", "choices": ["sample", "full"], "default": "full"},
    "repair": {"type": "bool", "default": False},
    "delete_extra": {"type": "bool", "default": False},
}

LINE_GAP = 5.0  # seconds between progress lines

_SAME_NAME = (
    "level",
    "sample_items",
    "ignore_expired",
    "consistent",
    "workers",
    "read_rate",
    "differences_path",
)


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Compare; with ``repair`` mend what differs, in check mode only tell what would be mended."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    options = VerifyOptions(
        source_table=params["source_table"] or params["name"], table=params["name"], **given(params, _SAME_NAME)
    )

    told_at = time.monotonic()

    def tell(now: CompareProgress) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= LINE_GAP:
            told_at = time.monotonic()
            progress(
                f"{params['name']}: {now.items_source} items read, {now.segments_done}/{now.segments} segments done"
            )

    found = verify_tables(source, destination, options, tell)
    mended: dict[str, int] = {}
    changes = _changes(params, found) if params["repair"] else []
    if changes and not check_mode:
        mended = asdict(mend(source, destination, options, found, delete_extra=params["delete_extra"]))
    changed = bool(changes) if check_mode else bool(mended.get("put") or mended.get("deleted"))
    return {
        "changed": changed,
        "level": options.level,
        "equal": found.comparison.equal,
        **found.to_dict(),
        "repaired": mended,
        "clean": found.comparison.equal or bool(mended and not _left(found, mended)),
        "diff": to_diff(changes, params["name"]),
        "msg": _words(params, found, mended, changes),
    }


def _left(found: Verification, mended: dict[str, int]) -> int:
    """How many differences are known to be left after a repair, or groups of them."""
    told = found.comparison
    unseen = told.differences - sum(mended.values())
    return mended["left"] + mended["changed"] + unseen + told.unlisted_buckets


def _changes(params: dict[str, Any], found: Verification) -> list[Change]:
    compared = found.comparison
    extra = compared.extra if params["delete_extra"] else 0
    wanted = (("put", compared.missing + compared.different), ("delete", extra))
    name = params["name"]
    return [Change(f"items of {name} to {what}", None, count, "destructive") for what, count in wanted if count]


def _words(params: dict[str, Any], found: Verification, mended: dict[str, int], changes: list[Change]) -> str:
    name, compared = params["name"], found.comparison
    if compared.equal:
        return f"{name}: {compared.items_destination} items compared ({params['level']}), all are equal."
    said = f"{name}: {compared.missing} missing, {compared.different} different, {compared.extra} extra."
    if compared.unlisted_buckets:
        said += f" More differ in {compared.unlisted_buckets} groups of keys: mend these, then compare again."
    if mended:
        said += f" Repaired: {', '.join(f'{count} {what}' for what, count in mended.items() if count)}."
    elif changes:
        wanted = ", ".join(f"{change.what.rpartition(' ')[2]} {change.after}" for change in changes)
        said += f" A repair would {wanted}."
    if compared.extra and not params["delete_extra"]:
        said += f" The {compared.extra} extra stay: delete_extra (ferry_delete_extra) deletes them."
    return said


VERB = Verb("dynamodb_verify", SPEC, run, services=("dynamodb", "sts"))
