# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the failures of imports mean, and what to do (aws.md B4; measured/import-export-table 1.3)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .. import sdk
from ..account import Account
from ..aws_errors import NO_RESOURCE
from ..errors import FerryError, ImportFailed
from ..jobs.job import Job, failure_of
from ..table.definition import TableDefinition
from ..table.refused_items import WAYS_OUT, refused_in_words

LOG_GROUP = "/aws-dynamodb/imports"
LOGGED_FAILURES = 20  # how many failures of a log are read and shown

# In the order of what explains most: (words to look for in the log's messages, what to do).
_IMPORT_LOG = (
    (
        "unexpected token",
        "The import used another compression than the objects have: exports are GZIP. Leave compression out.",
    ),
    (
        "expected 'item' top level container",
        "The prefix is not the export's data/ folder, or the files are those of an incremental export, which cannot be"
        " imported.",
    ),
    (
        "failed to decompress",
        "A staged object is damaged: make a new export (with export_max_age: 0 the old one is not used again).",
    ),
    ("modified", "An object changed while it was being read: make sure that nobody else writes to the staging bucket."),
    *((words, "INDEX") for words in ("index key", "indexkey", "indexname", "secondary index")),
    *((words, "KEY") for words in ("missing the key", "mismatch for key", "one of the required keys")),
)
_ITEMS = {
    "INDEX": "Items have keys of an index that it does not take: of another type, empty or too long. " + WAYS_OUT,
    "KEY": "Items lack the table's key, or have it with another type: export the table again, and do not edit the"
    " files.",
}
_IMPORT = {
    "S3NoSuchBucket": "Set bucket to a bucket that exists.",
    "TableAlreadyExists": "Another import or CreateTable created a table of this name first: this import wrote"
    " nothing. Find out whose table it is, then choose another destination_table or delete that table yourself.",
    "S3AccessDenied": "Allow the importing principal s3:GetObject on the bucket's objects, s3:ListBucket on the bucket"
    " and kms:Decrypt on its key.",
    "ImportNotFoundException": "AWS keeps the records of imports for 90 days: check the table yourself.",
}
_LOGS = (
    "Allow the importing principal logs:CreateLogGroup, logs:CreateLogStream, logs:DescribeLogGroups,"
    " logs:DescribeLogStreams, logs:PutLogEvents and logs:PutRetentionPolicy for the log group /aws-dynamodb/imports."
)


def import_hint(code: str, message: str, logged: Iterable[str]) -> str:
    """What to do about an import's failure, from its code and the messages of its log."""
    texts = " ".join(logged).lower()
    for words, advice in _IMPORT_LOG:
        if words in texts:
            return _ITEMS.get(advice, advice)
    if code in _IMPORT:
        return _IMPORT[code]
    if "logs:" in message or "CloudWatch" in code:
        return _LOGS
    if "AccessDenied" in code or "kms:" in message.lower():
        return _IMPORT["S3AccessDenied"]
    return "Fix the cause AWS reports, then run again."


def refused_hint(job: Job) -> str:
    """What to do about the items that ``name_refused`` found in the data, "" where it found none."""
    refused = job.result.get("refused_items", {})
    if refused.get("without_key"):
        return f"{refused_in_words(refused)} {_ITEMS['KEY']}"
    return f"{refused_in_words(refused)} {WAYS_OUT}" if refused.get("items") else ""


def import_failed(job: Job, state: str, code: str, message: str) -> ImportFailed:
    """The error for an import that AWS reports as FAILED or CANCELLED."""
    words = ": ".join(word for word in (code, message.rstrip(".")) if word)
    return ImportFailed(
        f"The import {job.arn or 'of the table'} ended {state.upper()}{f': {words}' if words else ''}.",
        import_hint(code, message, ()),
        details={"import_arn": job.arn, "code": code, "message": message},
    )


def explain_failure(destination: Account, job: Job) -> FerryError:
    """Why the import ``job`` failed or was cancelled: object and message from its log, a hint, and what to do with the
    table that AWS leaves behind. A log that cannot be read is mentioned, never raised."""
    if (
        job.reported and job.arn
    ):  # one without an ARN was not begun: it failed with what an earlier one was explained by
        return _explain_reported(destination, job, *job.reported)
    error = failure_of(job, ImportFailed)
    if not isinstance(error, ImportFailed):
        return error
    left = _about_partial_table(destination, job)
    return ImportFailed(error.cause, f"{error.next_step} {left}".strip(), table=job.name, details=error.details)


def _explain_reported(destination: Account, job: Job, code: str, message: str) -> ImportFailed:
    events, unread = _logged(destination, job)
    reported = import_failed(job, job.state, code, message)
    cause = reported.cause
    if events:
        first = events[0]
        cause += f" {first['object'] or 'An object'}: {'; '.join(first['messages']).rstrip('.')}."
        if len(events) > 1:
            cause += f" The log has {len(events)}{'+' if len(events) == LOGGED_FAILURES else ''} such entries."
    elif unread:
        cause += f" The log {LOG_GROUP} could not be read ({unread})."
    hint = refused_hint(job) or import_hint(code, message, [text for event in events for text in event["messages"]])
    left = _about_partial_table(destination, job) or "There is no partial table: the next run imports again."
    return ImportFailed(
        cause,
        f"{hint} {left}",
        table=job.name,
        details={
            **reported.details,
            "imported_items": job.result.get("imported_items", 0),
            "errors": job.result.get("errors", 0),
            "log": events,
            "refused_items": job.result.get("refused_items", {}),
        },
    )


def _about_partial_table(destination: Account, job: Job) -> str:
    """What to do about the table that the import left; "" where it left none."""
    try:
        table = TableDefinition.find(destination, job.name)
    except FerryError:
        return "AWS may have left a partial table: check before you run again."
    if table is None or table.table_id not in (job.result.get("table_id"), job.request.get("replaces")):
        return ""
    return (
        f"AWS left the partial table {job.name} ({job.result.get('imported_items', 0)} items imported; more may be"
        " missing than errors were counted). TableFerry keeps it. Delete it yourself, or set replace_failed: true"
        " to let the next run delete exactly this table and import again."
    )


def _logged(destination: Account, job: Job) -> tuple[list[dict[str, Any]], str]:
    """The log's first failures as {object, item, messages}, and why it could not be read."""
    import_id = job.arn.rpartition("/")[2]
    try:
        answer = destination.client("logs").get_log_events(
            logGroupName=LOG_GROUP, logStreamName=f"{import_id}/error", startFromHead=True, limit=LOGGED_FAILURES
        )
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        code = sdk.error_code(error)
        return [], "" if code in NO_RESOURCE else code
    return [parse_log_event(event.get("message", "")) for event in answer.get("events", ())], ""


def parse_log_event(message: str) -> dict[str, Any]:
    """One event of an import's error log (aws.md B4): {object, item, messages}; itemIndex is often absent."""
    try:
        event = json.loads(message)
        pointer = event.get("itemS3Pointer", {})
        where = f"s3://{pointer['bucket']}/{pointer['key']}" if pointer.get("key") else ""
        return {
            "object": where,
            "item": pointer.get("itemIndex"),
            "messages": [str(text) for text in event["errorMessages"]],
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"object": "", "item": None, "messages": [message]}
