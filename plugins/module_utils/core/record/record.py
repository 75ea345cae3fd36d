# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a table (``table#<destination name>`` / ``record``): how far it is. Nothing else says so.

Values only; ``transitions`` says which one may follow which, ``store`` writes them. All times are AWS's, in epoch
seconds. Design section 6, "Items".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from ..errors import RecordTooNew
from .attributes import Item, from_item, to_item
from .fence import Fence

SCHEMA = 1
JOBS_KEPT = 20
EXPORT = "export#"  # what the keys of exports that serve several destinations begin with

State = Literal["claimed", "filling", "filled", "settled", "done", "following", "handed_over", "broken"]
JobState = Literal["intended", "begun", "done", "failed", "closed"]

# The purposes that the rules know; all others are texts of the methods.
FILL = "fill"  # makes the destination table: an import, a restore, CreateTable
WRITE = "write"  # a job of AWS's that writes items into it, such as a Spark job
LOOK = "look"  # a job of AWS's that reads what is to be written, and writes into no table
ITEMS = "items"  # items that this machine writes: nothing of it is left once its run has ended and its fence has passed
DELETE = "delete"  # removes our copy


@dataclass(frozen=True)
class Source:
    """The source table, by ARN and TableId: one that was made anew under its name is another table."""

    arn: str
    table_id: str


@dataclass(frozen=True)
class JobEntry:
    """A job or call of ours, written before it is sent, with its answer once there is one.

    ``kind`` is what the caller calls it, ``request`` its exact JSON (empty once it is done, failed or closed).
    ``asked_at`` is the date of the last request.
    """

    purpose: str
    kind: str
    attempt: int
    token: str
    request: str
    intended_at: int
    asked_at: int
    arn: str = ""
    table_id: str = ""
    state: JobState = "intended"
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether it may still run, or be begun by a request that is under way."""
        return self.state in ("intended", "begun")


@dataclass(frozen=True)
class Part:
    """How far one source of a merge is; parts are keyed by the source's ARN. ``filled`` is one that is done: compared
    and settled too. ``heads`` are the constant texts that attributes of its items' keys begin with, ``source_id`` is
    the source's TableId; the others are as in ``Record``, of a part that is done."""

    state: State
    attempt: int
    data_as_of: Mapping[str, Any] = field(default_factory=dict)
    source_id: str = ""
    method: str = ""
    heads: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    verified: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What is known of a destination table. ``run`` is who works on it, empty for nobody; ``home`` the TableId of the
    table of the records that it was written into; ``table_id`` that of our copy, empty before there is one.
    ``signed_until`` is as in ``Fence``, 0 for none. ``replaces`` is the copy that somebody deleted before this attempt:
    its ``table_id`` and ``data_as_of``."""

    key: str
    home: str
    migration: str
    source: Source
    method: str
    run: str = ""
    fence: int = 0
    signed_until: int = 0
    state: State = "claimed"
    attempt: int = 1
    table_id: str = ""
    jobs: tuple[JobEntry, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    verified: Mapping[str, Any] = field(default_factory=dict)
    data_as_of: Mapping[str, Any] = field(default_factory=dict)
    next: str = ""
    parts: Mapping[str, Part] = field(default_factory=dict)
    replaces: Mapping[str, Any] = field(default_factory=dict)
    ver: int = 0
    w: str = ""

    @property
    def fenced(self) -> Fence:
        """Its fence, with what may shorten that."""
        return Fence(self.fence, self.signed_until or None)

    @property
    def name(self) -> str:
        """What the record is about: the destination table's name."""
        return self.key.partition("#")[2]

    @property
    def is_done(self) -> bool:
        """Whether the data is there, compared, and its settings too."""
        return self.state in ("done", "following", "handed_over")

    @property
    def is_under_way(self) -> bool:
        """Whether a run is to go on with what was begun: without the record AWS would begin, and bill, it once more."""
        if self.state == "claimed":
            return any(job.attempt == self.attempt and (job.is_open or job.state == "done") for job in self.jobs)
        return not self.is_done

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was begun under this claim and nobody works on it, as after a table was refused."""
        begun = any(part.state != "claimed" for part in self.parts.values())
        return self.state == "claimed" and not (self.run or self.jobs or self.table_id or begun)

    @property
    def sources(self) -> frozenset[str]:
        """The ARNs of all its source tables: several of a merge."""
        return frozenset({self.source.arn, *self.parts})

    @property
    def heads(self) -> dict[str, str]:
        """What attributes of the keys of the source's items begin with, where others share the table with them."""
        part = self.parts.get(self.source.arn)
        return dict(part.heads) if part is not None else {}

    @property
    def part_jobs(self) -> tuple[JobEntry, ...]:
        """The jobs that are of its source: of a merge those of the present attempt, as each part has its own."""
        return tuple(job for job in self.jobs if not self.parts or job.attempt == self.attempt)

    @property
    def step(self) -> tuple[Any, ...]:
        """What tells the steps of a record apart, without its times: one that is made again later has others."""
        jobs = tuple((job.token, job.state, job.arn, job.table_id) for job in self.jobs)
        return (self.state, self.attempt, self.method, self.table_id, jobs, *sorted(self.evidence))

    def job(self, token: str) -> JobEntry | None:
        """The newest entry with ``token``."""
        return next((job for job in reversed(self.jobs) if job.token == token), None)

    def open_job(self, purpose: str) -> JobEntry | None:
        """The entry of ``purpose`` that may still run, or be begun."""
        return next((job for job in reversed(self.jobs) if job.purpose == purpose and job.is_open), None)

    def last_job(self, purpose: str) -> JobEntry | None:
        """The newest entry of ``purpose`` in the present attempt."""
        return next(
            (job for job in reversed(self.jobs) if job.purpose == purpose and job.attempt == self.attempt), None
        )

    @property
    def highest_attempt(self) -> int:
        """The highest number that an attempt of the table, or a job of it, has."""
        return max([self.attempt, *(job.attempt for job in self.jobs)])

    def with_job(self, entry: JobEntry) -> Record:
        """The record with ``entry``, in the place of the one with its token. The oldest are dropped, but none that is
        open, and not the newest of a purpose: many runs of one job must not make the table's export unknown."""
        if self.job(entry.token) is None:
            jobs = (*self.jobs, entry)
        else:
            jobs = tuple(entry if job.token == entry.token else job for job in self.jobs)
        spare = len(jobs) - JOBS_KEPT
        newest = {job.purpose: job.token for job in jobs}.values()
        ended = [job for job in jobs if not job.is_open and job.token not in newest][: max(0, spare)]
        return replace(self, jobs=tuple(job for job in jobs if job not in ended))

    def to_item(self) -> dict[str, dict[str, Any]]:
        """As DynamoDB's item. What is empty is left out: nobody holds a record without ``run``."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "key"}
        kept = {name: value for name, value in values.items() if value not in ("", {}, ()) or name == "state"}
        return {**key_of(self.key), **to_item({"schema": SCHEMA, **kept})}

    @classmethod
    def from_item(cls, item: Item) -> Record:
        """The record of DynamoDB's ``item``. Raises RecordTooNew for one of a newer version."""
        values = from_item(item)
        if values.get("schema", 1) > SCHEMA:
            raise RecordTooNew(
                f"A newer version of TableFerry wrote the record {values['pk']} (schema {values['schema']}, this"
                f" version knows {SCHEMA}).",
                "Use that version, or a newer one, for this table. Nothing was changed.",
                table=str(values["pk"]).partition("#")[2],
            )
        known = {each.name for each in fields(cls)}
        plain = {name: value for name, value in values.items() if name in known}
        plain["jobs"] = tuple(_made(JobEntry, job) for job in plain.get("jobs", ()))
        plain["parts"] = {arn: _made(Part, part) for arn, part in plain.get("parts", {}).items()}
        return cls(**{**plain, "key": values["pk"], "source": _made(Source, plain["source"])})


def _made(kind: Any, data: Mapping[str, Any]) -> Any:
    """A ``kind`` of what ``data`` has of its fields."""
    return kind(**{each.name: data[each.name] for each in fields(kind) if each.name in data})


def table_key(name: str) -> str:
    """The key of the record of the destination table ``name``: of the name alone, so that a claim excludes others."""
    return f"table#{name}"


def export_key(source_arn: str, migration: str) -> str:
    """The key of the record of the exports of a source table that serve several destinations: of its ARN, for a table
    that is made anew while it is being exported has another TableId than the one that was read."""
    return f"{EXPORT}{source_arn}#{migration}"


def key_of(key: str) -> dict[str, dict[str, str]]:
    """The key of a record in the table of the records."""
    return {"pk": {"S": key}, "sk": {"S": "record"}}
