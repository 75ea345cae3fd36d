# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records, leases and uses in DynamoDB, each written on a condition over the one item it is about.

A condition sees only the item it writes, so what excludes something else is one item under a fixed key. Reads are
consistent. Every write carries a nonce ``w``: where the answer of a write was lost and its repetition meets a failed
condition, finding the own nonce says that it had passed. Design section 6.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .. import sdk
from ..account import Account
from ..errors import Claimed, FerryError, RecordChanged, RecordLost, RecordTooNew
from . import lease as leases
from . import record_table
from . import uses as use_items
from .attributes import to_attribute
from .clock import AwsClock
from .lease import Ended, Lease
from .record import EXPORT, Record, key_of
from .record_table import RecordTable
from .takeover import GRACE
from .uses import Uses

_FAILED = "ConditionalCheckFailedException"


@dataclass(frozen=True)
class Unreadable:
    """An item that this version cannot read: its key, why, and what the user should do."""

    key: str
    why: str
    next: str


@dataclass(frozen=True)
class Everything:
    """What the table of the records holds: for ``status`` and ``cleanup``."""

    records: tuple[Record, ...]
    leases: Mapping[str, Lease]
    uses: tuple[Uses, ...]
    unreadable: tuple[Unreadable, ...] = ()
    exports: tuple[Record, ...] = ()


def in_use(everything: Everything, run: str, now: float) -> list[str]:
    """What keeps the table of the records, in words; empty where it may go. Leases that have ended or that ran out
    count no more, nor does that of ``run``, which asks."""
    alive = [
        lease
        for lease in everything.leases.values()
        if lease.run != run and lease.ended is None and now <= lease.until + GRACE
    ]
    return [
        *(f"the record {record.key}" for record in everything.records),
        *(f"the users of {uses.arn}" for uses in everything.uses),
        *(f"{each.key}, which this version cannot read" for each in everything.unreadable),
        *(f"run {lease.run} ({leases.held_by(lease, now)})" for lease in alive),
    ]


def _strange(key: str) -> Unreadable:
    return Unreadable(
        key,
        f"The item {key} in the table of the records is not one that TableFerry writes.",
        "It may be the only evidence of a table: put it back as it was, or set record_table to another table."
        if key.startswith("table#")
        else "Remove the item, or set record_table to another table.",
    )


class RecordStore:
    """The table of the records, for one run.

    ``client`` is a DynamoDB client of its own, which the gate does not guard: a lapsed lease may be renewed.
    ``allowed`` is called before each write that is not about the own lease, and raises where the run may begin nothing.
    ``nonce`` makes ``w``. ``explain`` makes an error of ours of those of AWS's that are not about this table.
    """

    def __init__(
        self,
        client: Any,
        table: RecordTable,
        *,
        nonce: Callable[[], str] = lambda: uuid.uuid4().hex,
        allowed: Callable[[], None] = lambda: None,
        explain: record_table.Explain | None = None,
    ) -> None:
        self._client = client
        self._nonce = nonce
        self._fallback = explain
        self.table = table
        self.allowed = allowed

    @classmethod
    def open(cls, account: Account, name: str, clock: AwsClock, *, create: bool = True) -> RecordStore | None:
        """The store in the table ``name`` of the destination ``account``, made if there is none and ``create``.

        It is the first thing a run calls: ``clock`` learns AWS's time from it. None: there is no table, as in check
        mode of accounts where nothing is made yet. Raises ClockOff, and as ``record_table.find_or_create``.
        """
        client = account.own_client("dynamodb", connect_timeout=3, read_timeout=5, attempts=3)
        clock.watch(client)
        try:
            arn = account.table_arn(name)
            table: record_table.RecordTable | None
            if create:
                tags = account.tags
                table = record_table.find_or_create(client, name, arn, explain=account.explain, tags=tags)
            else:
                table = record_table.find(client, name, arn, explain=account.explain)
        except FerryError:
            if clock.known:
                clock.require_right()  # what AWS refuses with a wrong clock, it refuses for that
            raise
        clock.require_right()
        return None if table is None else cls(client, table, explain=account.explain)

    @property
    def home(self) -> str:
        """TableId of the table of the records."""
        return self.table.home

    def require_home(self) -> None:
        """Raises RecordLost when the table of the records is not the one that this run began with."""
        seen = record_table.find(self._client, self.table.name, self.table.arn, explain=self._fallback)
        if seen is None:
            raise record_table.gone(self.table.name)
        if seen.home != self.home:
            raise record_table.replaced(self.table.name, self.home, seen)

    # Records

    def read(self, key: str) -> Record | None:
        """The record under ``key``; None if there is none. Raises RecordTooNew."""
        item = self._get(key_of(key))
        return Record.from_item(item) if item else None

    def claim(self, record: Record) -> Record:
        """Write the first record of a name. Raises Claimed when somebody else was first; read it then."""
        self.allowed()
        written = self._next(record, 1)
        old = self._put(written.to_item(), "attribute_not_exists(pk)", {}, {})
        if old is not None and Record.from_item(old).w != written.w:
            other = Record.from_item(old)
            raise Claimed(
                f"The destination name was claimed at this moment by run {other.run or 'another'} of migration"
                f" {other.migration}.",
                "Run again: it waits for that run, or says who holds the table.",
                table=record.name,
                details={"migration": other.migration, "run": other.run},
            )
        return written

    def write(self, before: Record, after: Record) -> Record:
        """Write ``after`` over ``before``, which this run holds; the record as it now is.

        ``take`` is for a record that it does not hold. Raises RecordChanged when another version stands there,
        RecordLost when none does.
        """
        self.allowed()
        return self._replace(before, after, before.run)

    def let_go(self, before: Record, after: Record) -> Record:
        """As ``write``, for a run that was interrupted and begins nothing more: ``allowed`` is not asked."""
        return self._replace(before, after, before.run)

    def take(self, before: Record, after: Record) -> Record:
        """Write ``after``, held by this run, over ``before``, which another one held whose lease has ended. Raises as
        ``write``."""
        self.allowed()
        return self._replace(before, after, None)

    def remove(self, record: Record) -> None:
        """Remove a record that this run holds, or nobody (an export's): ``record_cleanup``. Raises RecordChanged."""
        self.allowed()
        names, values = {"#ver": "ver", "#run": "run"}, {":ver": record.ver, ":run": record.run}
        holder = "#run = :run"
        if not record.run:
            holder, values = "attribute_not_exists(#run)", {":ver": record.ver}
        try:
            self._client.delete_item(
                TableName=self.table.name,
                Key=key_of(record.key),
                ConditionExpression=f"attribute_not_exists(pk) OR (#ver = :ver AND {holder})",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={name: to_attribute(value) for name, value in values.items()},
            )
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if sdk.error_code(error) != _FAILED:
                raise self._explain(error) from error
            raise self._changed(record, None) from error

    def everything(self) -> Everything:
        """All items, read consistently; those that this version cannot read are ``unreadable``."""
        records: list[Record] = []
        exports: list[Record] = []
        found: dict[str, Lease] = {}
        uses: list[Uses] = []
        unreadable: list[Unreadable] = []
        for item in self._scan():
            kind, key = item["sk"]["S"], item["pk"]["S"]
            try:
                if kind == "record":
                    (exports if key.startswith(EXPORT) else records).append(Record.from_item(item))
                elif kind == "lease":
                    lease = Lease.from_item(item)
                    found[lease.run] = lease
                elif kind == "users":
                    uses.append(Uses.from_item(item))
                else:
                    unreadable.append(_strange(key))
            except RecordTooNew as newer:
                unreadable.append(Unreadable(key, newer.cause, newer.next_step))
            except (KeyError, TypeError, ValueError):
                unreadable.append(_strange(key))
        return Everything(tuple(records), found, tuple(uses), tuple(unreadable), tuple(exports))

    def _replace(self, before: Record, after: Record, holder: str | None) -> Record:
        written = self._next(after, before.ver + 1)
        names, values = {"#ver": "ver"}, {":ver": before.ver}
        condition = "#ver = :ver"
        if holder is not None:
            names["#run"], values[":run"] = "run", holder  # type: ignore[assignment]
            condition += " AND #run = :run"
        old = self._put(written.to_item(), condition, names, values)
        if old is None:
            return written
        if not old:
            raise RecordLost(
                "The record is gone: it, or the table of the records, was removed while this run was at work.",
                "Make sure that nobody else works on this table, then run again.",
                table=before.name,
            )
        current = Record.from_item(old)
        if current.w == written.w:
            return written
        raise self._changed(before, current)

    def _next(self, record: Record, ver: int) -> Record:
        return replace(record, ver=ver, w=self._nonce())

    def _changed(self, before: Record, current: Record | None) -> RecordChanged:
        whose = f" It is held by run {current.run}." if current and current.run not in ("", before.run) else ""
        return RecordChanged(
            f"The record was written by somebody else since it was read (version {before.ver}).{whose}",
            "Run again: the table goes on from where its record says it is.",
            table=before.name,
            details={"version": before.ver, "run": current.run if current else ""},
        )

    def remove_table(self, run: str, now: float) -> bool:
        """Remove the table of the records if nothing counts in it any more but the lease of ``run``; whether it was.

        Once it is gone, a run that begins at this very moment finds no table and begins nothing.
        """
        return record_table.remove(self._client, self.table.name, lambda: not in_use(self.everything(), run, now))

    # Leases

    def read_lease(self, run: str) -> Lease | None:
        """The lease of ``run``; None if there is none."""
        item = self._get(leases.key(run))
        return Lease.from_item(item) if item else None

    def begin_lease(self, lease: Lease) -> Lease:
        """Write the lease of a run that begins; the one that stands there already if another worker was first."""
        old = self._put(lease.to_item(), "attribute_not_exists(pk)", {}, {})
        return lease if old is None else Lease.from_item(old)

    def renew_lease(self, run: str, until: int, now: int) -> Lease:
        """The lease of ``run`` renewed to ``until``, or as it is: ended, or with a later ``until``, which counts too.

        ``until`` never goes back: a renewal that arrives late changes nothing. Raises RecordLost when there is none.
        """
        old, new = self._update(
            leases.key(run),
            "SET #until = :until, #renewed = :now",
            "attribute_exists(pk) AND attribute_not_exists(#ended) AND #until < :until",
            {"#until": "until", "#renewed": "renewed", "#ended": "ended"},
            {":until": until, ":now": now},
        )
        if new is None and not old:
            raise RecordLost(
                f"The lease of this run ({run}) is gone from the table of the records {self.table.name}.",
                "This run begins nothing more. Make sure that no other run is at work, then run again.",
            )
        return Lease.from_item(new or old or {})

    def end_lease(self, run: str, ended: Ended, seen: Lease | None) -> Lease:
        """End the lease of another run; the lease as it then is.

        Only if its ``until`` is still the one in ``seen``: a run that renewed meanwhile lives, and keeps it. One that
        is missing (``seen`` None) is written as ended. What stands afterwards says whether, and by whom, it was ended.
        """
        self.allowed()
        if seen is None:
            written = Lease(run, ended=ended)
            old = self._put(written.to_item(), "attribute_not_exists(pk)", {}, {})
            return written if old is None else Lease.from_item(old)
        return self._end(run, ended, " AND #until = :seen", {":seen": seen.until})

    def let_lease_go(self, run: str, ended: Ended, totals: Mapping[str, Any] | None = None) -> Lease:
        """End the own lease, with what it had sent fenced; the lease as it then is. Another run may have ended it
        before."""
        return self._end(run, ended, "", {}, totals)

    def note_unanswered(self, run: str, date: int) -> None:
        """Put the date of a request without an answer beside the lease, for the run's other processes."""
        self._update(
            leases.key(run),
            "SET #unanswered = :date",
            "attribute_exists(pk) AND (attribute_not_exists(#unanswered) OR #unanswered < :date)",
            {"#unanswered": "unanswered"},
            {":date": date},
        )

    def remove_ended_leases(self, everything: Everything, now: float) -> int:
        """Remove the leases that ended, whose fence has passed and whose run no item names; how many."""
        named = {record.run for record in everything.records} | {use.closing for use in everything.uses}
        over = [
            lease
            for lease in everything.leases.values()
            if lease.ended is not None and now >= max(lease.ended.fence, lease.until) and lease.run not in named
        ]
        for lease in over:
            self._delete(lease.key, "attribute_exists(#ended)", {"#ended": "ended"}, {})
        return len(over)

    def _end(
        self, run: str, ended: Ended, condition: str, values: Mapping[str, Any], totals: Mapping[str, Any] | None = None
    ) -> Lease:
        names, change = {"#ended": "ended"}, "SET #ended = :ended"
        all_values = {":ended": ended.to_dict(), **values}
        if condition:
            names["#until"] = "until"
        if totals:
            names["#totals"], all_values[":totals"], change = "totals", totals, f"{change}, #totals = :totals"
        old, new = self._update(
            leases.key(run),
            change,
            f"attribute_exists(pk) AND attribute_not_exists(#ended){condition}",
            names,
            all_values,
        )
        if new is None and not old:
            raise RecordLost(
                f"The lease of the run {run} is gone from the table of the records {self.table.name}.",
                "Make sure that no other run is at work, then run again.",
            )
        return Lease.from_item(new or old or {})

    # Uses of shared statements

    def read_uses(self, arn: str) -> Uses | None:
        """The users of ``arn``; None if nobody uses it."""
        item = self._get(use_items.key(arn))
        return Uses.from_item(item) if item else None

    def add_users(self, arn: str, users: frozenset[str], names: Iterable[str] = ()) -> Uses:
        """Add ``users`` of the resource ``arn``; the uses as they then are.

        If they are ``closing``, nobody was added: wait until that run has taken the resource away, or finish it.
        """
        self.allowed()
        old, new = self._update(use_items.key(arn), *use_items.adding(users, names, self.home))
        return Uses.from_item(new or old or {})

    def begin_closing(self, uses: Uses, run: str) -> Uses | None:
        """Write that ``run`` takes the resource away, over ``uses`` as they were read; the uses as they then are.

        If ``closing`` is another run's or empty, somebody was faster: look again. None: it has been taken away.
        """
        self.allowed()
        names = {"#closing": "closing"}
        values: dict[str, Any] = {":new": {"run": run}}
        more: dict[str, Any] = {}
        if uses.closing:  # the run that closed it has ended: we finish it
            condition, more = "#closing = :was", {":was": {"run": uses.closing}}
        elif uses.users:
            names["#users"] = "users"
            condition, more = "#users = :users AND attribute_not_exists(#closing)", {":users": uses.users}
        else:
            names["#users"] = "users"
            condition = "attribute_exists(pk) AND attribute_not_exists(#users) AND attribute_not_exists(#closing)"
        old, new = self._update(use_items.key(uses.arn), "SET #closing = :new", condition, names, {**values, **more})
        item = new or old
        return Uses.from_item(item) if item else None

    def remove_users(self, arn: str, users: frozenset[str], names: Iterable[str] = ()) -> Uses | None:
        """Remove ``users`` where others stay; the uses as they then are, None if there are none."""
        self.allowed()
        old, new = self._update(use_items.key(arn), *use_items.removing(users, names))
        item = new or old
        return Uses.from_item(item) if item else None

    def end_closing(self, arn: str, run: str) -> None:
        """Remove the uses of ``arn``, which ``run`` has taken away."""
        self.allowed()
        self._delete(use_items.key(arn), "#closing = :run", {"#closing": "closing"}, {":run": {"run": run}})

    # Calls

    def _get(self, key: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer = self._client.get_item(TableName=self.table.name, Key=key, ConsistentRead=True)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            raise self._explain(error) from error
        return answer.get("Item") or {}

    def _scan(self) -> Iterator[dict[str, Any]]:
        request: dict[str, Any] = {"TableName": self.table.name, "ConsistentRead": True}
        while True:
            try:
                answer = self._client.scan(**request)
            except (sdk.ClientError, sdk.BotoCoreError) as error:
                raise self._explain(error) from error
            yield from answer["Items"]
            if not answer.get("LastEvaluatedKey"):
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _put(
        self, item: Mapping[str, Any], condition: str, names: Mapping[str, str], values: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """None when it passed; else the item that stands there, empty if there is none."""
        request = self._conditional(condition, names, values)
        try:
            self._client.put_item(TableName=self.table.name, Item=item, **request)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            return self._standing(error)
        return None

    def _update(
        self,
        key: Mapping[str, Any],
        change: str,
        condition: str,
        names: Mapping[str, str],
        values: Mapping[str, Any],
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """(None, the new item) when it passed; else (the item that stands there, empty if there is none; None)."""
        request = self._conditional(condition, names, values)
        try:
            answer = self._client.update_item(
                TableName=self.table.name, Key=key, UpdateExpression=change, ReturnValues="ALL_NEW", **request
            )
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            return self._standing(error), None
        return None, answer["Attributes"]

    def _delete(
        self, key: Mapping[str, Any], condition: str, names: Mapping[str, str], values: Mapping[str, Any]
    ) -> None:
        """Delete where ``condition`` holds; what does not, or is gone already, stays as it is."""
        request = self._conditional(condition, names, values)
        del request["ReturnValuesOnConditionCheckFailure"]
        try:
            self._client.delete_item(TableName=self.table.name, Key=key, **request)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if sdk.error_code(error) != _FAILED:
                raise self._explain(error) from error

    @staticmethod
    def _conditional(condition: str, names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
        request: dict[str, Any] = {
            "ConditionExpression": condition,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if names:
            request["ExpressionAttributeNames"] = dict(names)
        if values:
            request["ExpressionAttributeValues"] = {name: to_attribute(value) for name, value in values.items()}
        return request

    def _standing(self, error: Exception) -> dict[str, Any]:
        if isinstance(error, sdk.ClientError) and sdk.error_code(error) == _FAILED:
            item: dict[str, Any] = error.response.get("Item") or {}
            return item
        raise self._explain(error) from error

    def _explain(self, error: Exception) -> FerryError:
        return record_table.explain(error, self.table.name, self.table.arn, self._fallback)
