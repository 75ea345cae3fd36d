# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remote jobs as values (design section 5).

A job is what a run starts on AWS and a later run must find again: an export, an import, the settings of a table. Values
here are JSON-safe and hold no secrets: they travel through registered results, and records keep them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from .. import sdk
from ..errors import FerryError, InvalidInput, ServiceError, error_from, is_known

NOT_FOLLOWED = "not_followed"  # in the details of a failure: nobody knows how the job goes on
AWS_WAITS = "aws_waits"  # in the result of one that timed out: AWS's word for it, as AWS had not begun to work on it
LACK = "lack"  # in the result of one that AWS had no capacity for: since and last (ISO 8601), message, needs
State = Literal["planned", "pending", "running", "completed", "failed", "cancelled", "not_needed"]
PendingReason = Literal[
    "", "slot", "point_in_time_recovery", "backup_plan", "source_table", "settings", "waiter", "job", "held", "fence"
]


@dataclass(frozen=True)
class Job:
    """One remote job of one table. ``kind`` names how it is run: core/migration.py knows the kinds that there are.

    ``name`` is the table (an import's, a restore's, a direct copy's and settings' destination table, else the source
    table). ``arn`` is what its list call knows it by: with AWS Backup the job's id, which is no ARN. ``pending`` waits
    for ``pending_reason`` (``job``: the table's job before it, ``waiter``: its own work) and is started by
    the waiter; ``not_needed`` was done by an earlier run: ``result`` is its.
    ``request`` is what is needed to start it again exactly so, ``attempt`` the number of earlier jobs of this table and
    purpose that must not be used again. ``failure`` is why it failed, as ``FerryError.to_failure`` gives it: error,
    cause, next_step and details; empty while it has not.
    """

    kind: str
    name: str
    state: State = "planned"
    arn: str = ""
    pending_reason: PendingReason = ""
    request: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    failure: dict[str, Any] = field(default_factory=dict)
    migration_id: str = "default"
    attempt: int = 0

    @property
    def open(self) -> bool:
        """Whether a waiter has something to wait for."""
        return self.state in ("pending", "running")

    @property
    def issues(self) -> str:
        """What AWS says of a job that it completed all the same, or what befell one of our own; empty where there is
        nothing. The console of AWS Backup calls that "Completed with issues": the state is COMPLETED, with a message
        (documentation of job statuses)."""
        if self.result.get("workers_lost"):
            return workers_lost(self.result["workers_lost"])
        words = str(self.result.get("status_message") or "") if self.state in ("completed", "not_needed") else ""
        return f"AWS completed the {self.kind} {self.arn} with issues: {words.rstrip('.')}." if words else ""

    @property
    def timed_out(self) -> bool:
        """Whether a waiter gave up while the job was still open; it continues, and the next run finds it."""
        return bool(self.result.get("timed_out"))

    @property
    def not_followed(self) -> bool:
        """Whether it is not the job that failed, but the looks at it: it may still be running."""
        return bool((self.failure.get("details") or {}).get(NOT_FOLLOWED))

    @property
    def foreseen(self) -> Job:
        """The job as check mode shows it: what a run would leave to the waiter is only planned."""
        return replace(self, state="planned", pending_reason="") if self.state == "pending" else self

    @property
    def reported(self) -> tuple[str, str] | None:
        """Code and message of a failure that AWS itself reports of the job; None where it failed otherwise."""
        details = self.failure.get("details") or {}
        if "code" in details and "message" in details:
            return str(details["code"]), str(details["message"])
        return None

    @property
    def failure_code(self) -> str:
        """AWS's code where AWS reports the failure, else the name of the error; "" without a failure."""
        return self.reported[0] if self.reported else str(self.failure.get("error", ""))

    @property
    def failure_message(self) -> str:
        """AWS's message where AWS reports the failure, else cause and next step."""
        if self.reported:
            return self.reported[1]
        return f"{self.failure.get('cause', '')} {self.failure.get('next_step', '')}".strip()

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON-safe data; ``failure_code`` and ``failure_message`` are for readers only."""
        values = {item.name: _copied(getattr(self, item.name)) for item in fields(self)}
        return {**values, "failure_code": self.failure_code, "failure_message": self.failure_message}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Job:
        """The job from ``to_dict``'s data; unknown members are ignored. Raises InvalidInput when it is not a job.

        Its kind is taken as it is: for a job that a user passes there is ``migration.job_from``.
        """
        values = {item.name: data[item.name] for item in fields(cls) if item.name in data}
        is_job = isinstance(values.get("kind"), str) and values.get("state", "planned") in get_args(State)
        if not is_job or not isinstance(values.get("failure", {}), Mapping):
            raise not_a_job()
        values.setdefault("failure", _failure_of_words(data))
        return replace(cls(values["kind"], str(values.get("name", ""))), **values)


def _copied(value: Any) -> Any:
    """``value`` of JSON with containers of its own: a fraction of what ``asdict`` costs, and a job is carried often."""
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_copied, value))
    return value


def not_a_job() -> InvalidInput:
    """The error for data that is no job."""
    return InvalidInput("The job is not one that a start verb returned.", "Pass the job of a start verb or job_wait.")


def ended_with(job: Job, error: BaseException) -> Job:
    """``job`` failed with ``error``; ``failure_of`` gives the error back."""
    return replace(job, state="failed", pending_reason="", failure=_to_failure(error))


def _to_failure(error: BaseException) -> dict[str, Any]:
    if isinstance(error, FerryError):
        return error.to_failure()
    next_step = "Run again: jobs already started are found and continued."
    if isinstance(error, sdk.ClientError):
        # Its text is left out: AWS quotes the signed headers where a signature is wrong.
        code = sdk.error_code(error)
        return ServiceError(f"AWS answered {code}.", next_step, details={"code": code}).to_failure()
    cause = f"{type(error).__name__}: {error}"
    return {"error": type(error).__name__, "cause": f"{cause.rstrip('.')}.", "next_step": next_step, "details": {}}


def _failure_of_words(data: Mapping[str, Any]) -> dict[str, Any]:
    """The failure of a job that version 0.2.0 stored: a code, of AWS's or the name of an error, and a message."""
    code, message = str(data.get("failure_code") or ""), str(data.get("failure_message") or "")
    if not code and not message:
        return {}
    if is_known(code):
        return {"error": code, "cause": message, "next_step": "", "details": {}}
    return ServiceError(
        f"AWS reported {code}{f': {message}' if message else ''}".rstrip(".") + ".",
        "Fix the cause AWS reports, then run again.",
        details={"code": code, "message": message},
    ).to_failure()


def failure_of(job: Job, unknown: type[FerryError] = ServiceError) -> FerryError:
    """Why ``job`` failed or was cancelled: the error that it failed with, naming its table; of type ``unknown`` where
    nothing says why."""
    if not job.failure:
        return unknown(f"The {job.kind} {job.arn} is {job.state}.".replace("  ", " "), "Run again.", table=job.name)
    return error_from(job.failure).for_table(job.name)


def workers_lost(how: Sequence[str]) -> str:
    """In words, that worker processes died and others did their work: ``how`` each of them ended."""
    ends = ", ".join(dict.fromkeys(how))
    first = f"A worker process {ends}" if len(how) == 1 else f"{len(how)} worker processes died ({ends})"
    return f"{first}; others did the work. Check whether the machine ran out of memory, or set fewer workers."
