# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One error type per way of failing, each with what the user should do next.

A message reads as for a colleague at three in the morning: which table, what is wrong, what to do. Only the glue turns
these into ``fail_json``; nothing here knows about Ansible.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MADE = "made_table_id"  # of the details of an error: the destination's table that was made before it


# Who makes what a problem misses, where that is not for the user: ``accounts``, what prepares the accounts of a run, or
# ``management``, the same with the credentials of the organization's management account.
MADE_BY = "made_by"


class FerryError(Exception):
    """Something kept a table from moving.

    ``cause`` says what is wrong and ``next_step`` what to do about it, both as full sentences. ``table`` is the table
    concerned, empty where a whole account is. ``details`` carries values for programs (ARNs, codes), never secrets.
    """

    def __init__(
        self, cause: str, next_step: str, *, table: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        self.cause = cause
        self.next_step = next_step
        self.table = table
        self.details: dict[str, Any] = dict(details or {})
        super().__init__(str(self))

    @property
    def status(self) -> str:
        """How the table ends in the report: ``failed``, or ``refused``."""
        return "failed"

    def __str__(self) -> str:
        subject = f"{self.table}: " if self.table else ""
        return f"{subject}{self.cause} {self.next_step}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), self.cause, self.next_step, self.table, self.details))

    def to_failure(self) -> dict[str, Any]:
        """The error as JSON-safe data, without its table; ``error_from`` makes it an error again."""
        known = next(kind for kind in type(self).__mro__ if globals().get(kind.__name__) is kind)
        return {
            "error": known.__name__,
            "cause": self.cause,
            "next_step": self.next_step,
            "details": json.loads(json.dumps(self.details, default=str)),
        }

    @property
    def problems(self) -> list[dict[str, str]]:
        """Each problem with ``cause``, ``next_step`` and who makes what is missing (MADE_BY), empty for the user."""
        return [{"cause": self.cause, "next_step": self.next_step, MADE_BY: ""}]

    def for_table(self, table: str) -> FerryError:
        """The same error, naming ``table`` where none is named yet."""
        return self if self.table else type(self)(self.cause, self.next_step, table=table, details=self.details)

    def of_made_table(self, table_id: str) -> FerryError:
        """The same error after the destination's table was made: then no table is ``refused``."""
        return type(self)(self.cause, self.next_step, table=self.table, details={**self.details, MADE: table_id})


def _restore(kind: type[FerryError], cause: str, next_step: str, table: str, details: dict[str, Any]) -> FerryError:
    return kind(cause, next_step, table=table, details=details)


def is_known(name: str) -> bool:
    """Whether ``name`` is that of an error of this file."""
    kind = globals().get(name)
    return isinstance(kind, type) and issubclass(kind, FerryError)


def error_from(failure: Mapping[str, Any]) -> FerryError:
    """The error of ``FerryError.to_failure``'s data: of the same type, with cause, next step and details.

    A ServiceError where the type is none of these.
    """
    name = str(failure.get("error", ""))
    kind: type[FerryError] = globals()[name] if is_known(name) else ServiceError
    return kind(
        str(failure.get("cause", "")), str(failure.get("next_step", "")), details=dict(failure.get("details") or {})
    )


class Refused(FerryError):
    """The table was not touched: what was asked cannot be done, or not safely. One that was made meanwhile failed."""

    @property
    def status(self) -> str:
        """How the table ends in the report."""
        return super().status if self.details.get(MADE) else "refused"


class InvalidInput(Refused):
    """An option has a value that cannot be used."""


class InvalidTransform(Refused):
    """A step that changes items cannot be used as it is written.

    ``step`` of the details is its number, from 1, 0 where it is none of a single step; ``kind`` its name, ``place``
    where in it.
    """


class CollidingKeys(Refused):
    """Steps that change items give several of them one key, so all but one would be lost: nothing was written."""


class UnknownMethod(Refused):
    """TableFerry has no method of that name."""


class NotInThisVersion(Refused):
    """The method is planned, but this version does not have it."""


class LocalSecondaryIndexes(Refused):
    """The table has local secondary indexes, which an import cannot create (aws.md B1)."""


class MissingTable(Refused):
    """The table does not exist in the account and Region given."""


class TableUnusable(Refused):
    """The table is being deleted, archived, or without the KMS key that it is encrypted with."""


class PointInTimeRecoveryDisabled(Refused):
    """An export needs point-in-time recovery and the user did not allow turning it on (aws.md A3)."""


class DestinationExists(Refused):
    """The destination table exists and is not ours (design section 11)."""


class MissingKeyMapping(Refused):
    """The source uses a customer managed key and ``kms_key_map`` names no key of the destination for it."""


class KeyNotUsable(Refused):
    """A KMS key cannot be used: missing, disabled, not shared, or managed by AWS."""


class PolicyNotReadable(Refused):
    """A policy is not a document that can be read: it is not overwritten."""


class NotOurs(Refused):
    """A key, role or bucket has the name that ours would have, and TableFerry did not create it."""


class StagingBucketUnusable(Refused):
    """The staging bucket is missing, belongs to another account, or its policy does not allow access."""


class PrefixNotData(Refused):
    """The import prefix is not the ``data/`` prefix of a known export."""


class FilterNotAllowed(Refused):
    """An export filter would leave out data that is needed (aws.md A8)."""


class ImportLocked(Refused):
    """Another import of the same destination table holds the lock."""


class QuotaTooSmall(Refused):
    """A quota of the destination account is smaller than what the table needs."""


class BackupNotPossible(Refused):
    """AWS Backup would refuse the table after jobs were started; the checks before the start show it (aws.md C).

    ``each`` of the details are its problems, as ``problems`` gives them.
    """

    @property
    def problems(self) -> list[dict[str, str]]:
        """Each problem by itself."""
        return list(self.details.get("each") or super().problems)


class StillRunning(Refused):
    """A job of the table still uses what is to be removed."""


class WrongAccount(Refused):
    """The credentials belong to another account than ``account_id``."""


class MissingLibrary(Refused):
    """A Python library that the work needs is not installed on the controller."""


class KeySchemaDiffers(Refused):
    """The two tables do not have the same key attributes, so items of one cannot be written to the other."""


class CheckpointUnusable(Refused):
    """A checkpoint file belongs to another copy, is not a checkpoint, or cannot be written; or a work directory."""


class CredentialsError(FerryError):
    """Credentials are missing, wrong or expired, or the role cannot be assumed."""

    @property
    def for_good(self) -> bool:
        """Whether a session has ended that nothing can renew."""
        return bool(self.details.get("session_ended")) and self.details.get("refusal") == "final"


class AccessDenied(FerryError):
    """AWS refused a call for lack of permission."""


class ServiceError(FerryError):
    """AWS answered a call with an error that no other type here explains."""


class PointInTimeRecoveryNotReady(FerryError):
    """Point-in-time recovery did not become usable within the time allowed."""


class ExportFailed(FerryError):
    """The export ended FAILED."""


class ExportDamaged(FerryError):
    """A data file of an export cannot be read as one."""


class ImportFailed(FerryError):
    """The import ended FAILED or CANCELLED, or left an unusable table."""


class BackupFailed(FerryError):
    """The backup job ended FAILED, EXPIRED, ABORTED or PARTIAL."""


class CopyFailed(FerryError):
    """The copy job ended FAILED or PARTIAL, or its recovery point cannot be used."""


class RestoreFailed(FerryError):
    """The restore job ended FAILED or ABORTED, or its table cannot be used."""


class SparkJobFailed(FerryError):
    """AWS Glue or Amazon EMR reported that the Spark job failed, or was stopped."""


class EmptyPrefix(FerryError):
    """No object is under the prefix: an import would make an empty table (measured/import-export-table 1.6)."""


class CountMismatch(FerryError):
    """Items exported and items imported differ."""


class DifferencesFound(FerryError):
    """Source and destination were compared and are not equal."""


class DestinationChanging(FerryError):
    """Others write to the destination while it is repaired, and the repair was not allowed to race with them."""


class ChecksumMismatch(FerryError):
    """A file of the export does not have the checksum its manifest says."""


class SettingFailed(FerryError):
    """A setting could not be applied to the destination table."""


class JobTimeout(FerryError):
    """A job is still running after the time allowed. It continues; the next run finds it."""


class EndpointUnreachable(FerryError):
    """No connection to the service can be made, or it keeps breaking."""


class KeepsFailing(FerryError):
    """The service throttles a request or fails it, for longer than retries last. Writes that were acknowledged stay."""


class TableVanished(FerryError):
    """A table was deleted, or deleted and created again, while its items were being copied or compared."""


class ItemRefused(FerryError):
    """The destination refuses an item: it is too large, or its index keys have another type; or a step of the
    transform cannot take it."""


class WorkerLost(FerryError):
    """A worker process ended before its work did."""


class Held(Refused):
    """Another run works on the table."""


class Claimed(Refused):
    """Another migration claimed the destination's name."""


class KeysNotApart(Refused):
    """Sources that are to be merged may have items with the same keys in the destination."""


class Replaced(Refused):
    """The destination table is not the one that was filled: it was made anew under its name."""


class TakenOver(Refused):
    """Another run ended this one: it begins nothing more."""


class StateUnknown(Refused):
    """The destination table carries our tags, and no record says how far it is."""


class RecordUnusable(Refused):
    """The table of the records is of another shape, being deleted, or cannot be read."""


class RecordTooNew(RecordUnusable):
    """A newer version of TableFerry wrote the record."""


class RecordDenied(Refused):
    """The table of the records may not be used: a permission is missing."""


class ClockOff(Refused):
    """The controller's clock differs so much from AWS's that AWS would refuse its signatures."""


class NotAsPlanned(Refused):
    """A table would not be moved as the approved plan says."""


class NotManagementAccount(Refused):
    """Only the organization's management account may change what is asked for."""


class PlanNotWritten(FerryError):
    """The plan's file cannot be written."""


class ReportNotWritten(FerryError):
    """The report's folder cannot be written to."""


class TableBroken(FerryError):
    """The destination table is not whole, by its record."""


class TransformChanged(Refused, TableBroken):
    """Items of the copy were, or may have been, brought by other transform steps than those of now."""


class RecordLost(FerryError):
    """A record, a lease or their table was removed or replaced while a run was at work."""


class RecordBusy(FerryError):
    """DynamoDB throttles the table of the records, or does not answer, longer than the retries last."""


class RecordChanged(FerryError):
    """Somebody else wrote the record since it was read: nothing was written. Read again and decide anew."""


class StepNotAllowed(FerryError):
    """The record does not allow the step from where the table is."""


class NotYet(StepNotAllowed):
    """The step becomes possible at ``details["until"]``, AWS's time in epoch seconds."""


class LeaseOver(FerryError):
    """A request was not sent: the run's lease is over. The lease may be renewed as long as nobody ended it."""


class ParentGone(FerryError):
    """ansible-playbook, for which this process works, has ended."""


class Interrupted(FerryError):
    """The process was asked to end: its run begins nothing more, and lets go."""


# Why a run sends nothing more, at least for now: no failure of the table that it works on.
RUN_STOPPED = (Interrupted, LeaseOver, ParentGone, RecordLost, TakenOver)


def interrupted(table: str = "") -> Interrupted:
    """The error of work on ``table`` that was called off."""
    return Interrupted("The run was interrupted.", "Run again: it goes on from where it was.", table=table)


# Durations in messages

_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"))


def in_words(seconds: float) -> str:
    """``12 s``, ``17 minutes``, ``5 hours``, ``2 days``: in the largest unit that there are two of at least."""
    for length, unit in _UNITS:
        if round(seconds / length) >= 2:
            return f"{round(seconds / length)} {unit}"
    return f"{max(0, round(seconds))} s"
