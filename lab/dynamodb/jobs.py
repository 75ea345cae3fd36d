# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exports and imports have in common: their records, ARNs, lists, tokens, and how their work is done."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from lab.dynamodb.address import Address
from lab.dynamodb.model import Shape, Table
from lab.dynamodb.words import belief, validation
from lab.errors import AwsError
from lab.faults import Fault
from lab.request_log import StartedJob
from lab.rules import Rule
from lab.world import Context, World

LISTED = belief(
    "test_export", "jobs-listed-newest-first",
    "ListExports and ListImports give 10 a page, newest first; a token of another TableArn gives an empty page",
    "measured/import-export-table 1.4 [EXPORT-006, IMPORT-016]",
)  # fmt: skip
KEPT_90_DAYS = belief(
    "test_export", "jobs-kept-90-days",
    "Exports and imports are forgotten after 90 days",
    "aws.md A6, B5",
)  # fmt: skip
DESCRIBES_THROTTLED = belief(
    "test_export", "describes-throttled",
    "DescribeExport and DescribeImport: more than about a dozen at once are `Rate exceeded`",
    "measured/import-export-table 1.11 [EXPORT-007]",
)  # fmt: skip

KEPT_SECONDS = 90 * 86400
PAGE_SIZE = 10
SLICE_SECONDS = 0.05  # real time after which a large job lets others have the world
_PAUSE_SECONDS = 0.001

Status = Literal["IN_PROGRESS", "COMPLETED", "FAILED"]


@dataclass(eq=False)
class _Job:
    """One export or import; ``context`` is the request's, whose caller does all the work (measured 1.3)."""

    context: Context
    request: Shape
    arn: str
    table_arn: str
    table_id: str
    started_at: float
    token: str
    status: Status = "IN_PROGRESS"
    ended_at: float | None = None
    failure_code: str = ""
    failure_message: str = ""
    planned_failure: Fault | None = None

    @property
    def world(self) -> World:
        """The world that it runs in."""
        return self.context.world

    @property
    def id(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status == "IN_PROGRESS"

    def end(self, code: str = "", message: str = "") -> None:
        """FAILED with ``code``, COMPLETED without one."""
        self.status, self.ended_at = "FAILED" if code else "COMPLETED", self.world.clock.now()
        self.failure_code, self.failure_message = code, message

    def failure(self) -> Shape:
        """The failure's members of a description."""
        if self.status != "FAILED":
            return {}
        return {"FailureCode": self.failure_code, "FailureMessage": self.failure_message}


@dataclass(eq=False)
class Export(_Job):
    """An export; ``table`` keeps the items readable when it is deleted meanwhile."""

    table: Table = field(kw_only=True)
    content_time: float | None = field(kw_only=True)  # None: nothing is restorable yet
    corrupting: Fault | None = None
    item_count: int = 0
    billed_bytes: int = 0

    @property
    def root(self) -> str:
        """``[prefix/]AWSDynamoDB/``; the prefix is kept as sent, but gives no double slash (measured 1.4)."""
        prefix = self.request.get("S3Prefix", "")
        return f"{prefix}{'' if not prefix or prefix.endswith('/') else '/'}AWSDynamoDB/"

    @property
    def incremental(self) -> bool:
        """Whether it exports changes."""
        return bool(self.request.get("ExportType") == "INCREMENTAL_EXPORT")


@dataclass(eq=False)
class Import(_Job):
    """An import. ``rank`` decides among rivals for one name; ``table`` is there once it is visible."""

    table_name: str = field(kw_only=True)
    rank: float = field(kw_only=True)
    table: Table | None = None
    probed: bool = False
    objects: list[tuple[str, int, str]] = field(default_factory=list)
    processed_bytes: int = 0
    imported: int = 0
    errors: int = 0


AnyJob = TypeVar("AnyJob", Export, Import)


def new_arn(world: World, table_arn: str, kind: Literal["export", "import"], started_at: float) -> str:
    """An ARN whose id is the epoch in 14 digits of milliseconds and 8 hex digits (measured 1.4)."""
    return f"{table_arn}/{kind}/{int(started_at * 1000):014d}-{world.random.getrandbits(32):08x}"


def note(job: _Job, kind: Literal["export", "import"]) -> None:
    """Add a job that starts to the world's request log."""
    where = job.context
    job.world.request_log.add_job(
        StartedJob(job.started_at, kind, where.account_id, where.region, job.table_arn, job.arn)
    )


def new_token(world: World) -> str:
    """A client token for a call that has none; every call of an SDK has one."""
    return f"{world.random.getrandbits(128):032x}"


_SOMEWHERE = r"aws(?:-cn|-us-gov)?:dynamodb:(?P<region>[a-z]{2,3}(?:-[a-z]+)+-\d):(?P<account>\d{12})"
_PLACE = re.compile(_SOMEWHERE)
_ARN = re.compile(rf"arn:{_SOMEWHERE}:table/[a-zA-Z0-9_.-]{{3,255}}/(?P<kind>export|import)/[^/]+")
# A table's ARN or an export's, whatever its partition, service, Region and account.
_TABLE = re.compile(r"arn:(?P<place>[^:]*:[^:]*:[^:]*:[^:]*):table/[a-zA-Z0-9_.-]{3,255}(?:/export/[^/]+)?")


def _of_nobody(context: Context, arn: str) -> bool:
    """Whether the ARN names something outside the caller's account: nonsense for a place counts as such."""
    table = _TABLE.fullmatch(arn)
    if table is None:
        return False
    place = _PLACE.fullmatch(table["place"])
    return place is None or place["account"] != context.account_id


def find(
    context: Context, jobs: Sequence[AnyJob], arn: str, kind: Literal["export", "import"], refusing: Rule
) -> AnyJob:
    """The caller's job of that ARN, or the refusal that was measured for it (1.4, 1.7), raised through ``refusing``."""
    match = _ARN.fullmatch(arn)
    noun = kind.capitalize()
    if kind == "export" and match is None and _of_nobody(context, arn):
        raise refusing.error("AccessDeniedException", "Access is denied")
    if match is None or match["kind"] != kind:
        raise validation(refusing, f"Invalid {noun} ARN")
    if match["account"] != context.account_id:
        raise refusing.error("AccessDeniedException", "Access is denied")
    if match["region"] != context.region:
        raise refusing.error(f"{noun}NotFoundException", f"{noun} not found: Invalid {kind} arn")
    oldest = context.world.clock.now() - KEPT_SECONDS
    job = next((job for job in jobs if job.arn == arn and job.started_at >= oldest), None)
    if job is None:
        raise refusing.error(f"{noun}NotFoundException", f"{noun} not found: {noun} not found: {arn}")
    return job


def throttle_describes(context: Context) -> None:
    """Count one Describe call of the caller's account."""
    family = f"dynamodb.{context.operation}.{context.region}"
    if not context.world.throttles.admits(context.account_id, family, burst=13, per_second=5):
        raise DESCRIBES_THROTTLED.error("ThrottlingException", "Rate exceeded")


def page(
    context: Context, jobs: Sequence[AnyJob], params: Shape, size_member: str, shown: Callable[[AnyJob], bool]
) -> tuple[list[AnyJob], Shape]:
    """The page of the caller's jobs that ``params`` ask for, and NextToken's member."""
    table_arn = params.get("TableArn", "")
    oldest = context.world.clock.now() - KEPT_SECONDS
    mine = [
        job
        for job in jobs
        if (job.context.account_id, job.context.region) == (context.account_id, context.region)
        and table_arn in ("", job.table_arn)
        and job.started_at >= oldest
        and shown(job)
    ]
    mine.sort(key=lambda job: (job.started_at, job.arn), reverse=True)
    token = params.get("NextToken")
    if token is not None:
        _, listed_for, last_started, last_arn = _opened(token, context.operation)
        if listed_for != table_arn:
            return [], {}
        mine = [job for job in mine if (job.started_at, job.arn) < (last_started, last_arn)]
    size = params.get(size_member) or PAGE_SIZE
    if len(mine) <= size:
        return mine, {}
    last = mine[size - 1]
    sealed = json.dumps([context.operation, table_arn, last.started_at, last.arn]).encode()
    return mine[:size], {"NextToken": _as_hexadecimal(sealed)}


def _as_hexadecimal(sealed: bytes) -> str:
    """A token as the model of ListImports wants it: 112 hexadecimal digits or more, in groups of 16."""
    return sealed.ljust(max(56, -(-len(sealed) // 8) * 8)).hex()


def _opened(token: str, operation: str) -> tuple[str, str, float, str]:
    try:
        kind, table_arn, started_at, arn = json.loads(bytes.fromhex(token))
    except ValueError:
        kind = ""
    if kind != operation:
        raise validation(LISTED, f"Invalid Request: Provided nextToken is invalid: {token}")
    return kind, table_arn, started_at, arn


def count_running(context: Context, jobs: Sequence[AnyJob]) -> int:
    """How many jobs of the caller's account and Region run."""
    where = (context.account_id, context.region)
    return sum(job.running and (job.context.account_id, job.context.region) == where for job in jobs)


def do_in_slices(world: World, steps: Iterator[None]) -> None:
    """Run ``steps`` to their end, releasing the world whenever a slice of real time is over."""
    until = time.perf_counter() + SLICE_SECONDS
    for _ in steps:
        if time.perf_counter() > until:
            world.schedule(_PAUSE_SECONDS, lambda: do_in_slices(world, steps))
            return


def s3_failure(world: World, error: AwsError) -> tuple[str, str]:
    """FailureCode and FailureMessage for what S3 answered (measured 1.3)."""
    code = {"KMS.NotFoundException": "KmsNotFoundException"}.get(error.code) or f"S3{error.code.replace('.', '')}"
    request = f"{world.random.getrandbits(64):016X}"
    return code, (
        f"{error.message} (Service: Amazon S3; Status Code: {error.status}; Error Code: {error.code}; "
        f"Request ID: {request}; S3 Extended Request ID: {request}; Proxy: null)"
    )


def place(job: _Job) -> Address:
    """Where the job's table is."""
    return Address(job.context.account_id, job.context.region, job.table_arn.rpartition("/")[2])
