# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two accounts in memory with just the calls that exports and imports make, and a clock that tests turn.

Every call can be cut: a test's ``interrupt`` is asked before and after each one. The lab is the strict AWS of the
project; this one is small enough to be killed at each of its calls in a second.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec

SOURCE, DESTINATION, REGION, BUCKET = "111111111111", "222222222222", "eu-west-1", "tableferry-staging"
MUTATING = frozenset(
    {
        "ExportTableToPointInTime",
        "ImportTable",
        "DeleteTable",
        "TagResource",
        "UntagResource",
        "UpdateContinuousBackups",
        "PutObject",
        "DeleteObjects",
    }
)


class Killed(BaseException):
    """The controller dies here."""


def failure(code: str, message: str = "said AWS", operation: str = "Call", status: int = 400) -> Exception:
    """An error as botocore raises it."""
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return sdk.ClientError(response, operation)


@dataclass
class Table:
    """One table; ``items`` is how many it has."""

    name: str
    table_id: str
    items: int = 0
    visible_at: datetime | None = None
    active_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)
    recovery_since: datetime | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    deleted_at: datetime | None = None


class FakeAws:
    """Both accounts' tables, jobs and the staging bucket (the destination's)."""

    def __init__(self) -> None:
        self.began = datetime.now(UTC).replace(microsecond=250000)
        self.clock = 0.0
        self.tables: dict[tuple[str, str], Table] = {}
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.bucket_owner: str | None = DESTINATION
        self.exports: list[dict[str, Any]] = []
        self.imports: list[dict[str, Any]] = []
        self.logs: dict[str, list[str]] = {}
        self.unlisted: set[str] = set()
        self.unreadable = "nothing"
        self.tokens_broken = False
        self.calls: list[tuple[str, str]] = []
        self.interrupt: Callable[[str, str, int], None] = lambda moment, operation, number: None
        self.export_seconds, self.import_seconds, self.visible_after = 150.0, 110.0, 30.0
        self.export_slots, self.import_slots = 300, 50
        self.page = 10
        self.export_failure: tuple[str, str] | None = None
        self.import_failure: tuple[str, str] | None = None
        self.lost_items = 0
        self.lock = threading.RLock()
        self._ids = 0

    @property
    def now(self) -> datetime:
        return self.began + timedelta(seconds=self.clock)

    def sleep(self, seconds: float) -> None:
        self.clock += max(seconds, 0.001)

    def account(self, side: str) -> FakeAccount:
        return FakeAccount(self, side, SOURCE if side == "source" else DESTINATION)

    def add_table(self, account_id: str, name: str, items: int = 0, recovery: bool = True, **extra: Any) -> Table:
        since = self.now - timedelta(days=2) if recovery else None
        table = Table(name, self.new_id("table"), items, recovery_since=since, extra=extra)
        self.tables[account_id, name] = table
        return table

    def new_id(self, what: str) -> str:
        self._ids += 1
        return f"{what}-{self._ids}"

    def count(self, operation: str) -> int:
        return sum(called == operation for _account, called in self.calls)

    def mutating(self) -> list[str]:
        return [operation for _account, operation in self.calls if operation in MUTATING]

    def find(self, account_id: str, name: str) -> Table | None:
        table = self.tables.get((account_id, name))
        if table is None or (table.visible_at and self.now < table.visible_at):
            return None
        if table.deleted_at and self.now >= table.deleted_at + timedelta(seconds=5):
            del self.tables[account_id, name]
            return None
        return table

    # Jobs that have come to their end

    def settle(self) -> None:
        for export in self.exports:
            if export["ExportStatus"] == "IN_PROGRESS" and self.now >= export["_end"]:
                self._end_export(export)
        for job in self.imports:
            if job["ImportStatus"] == "IN_PROGRESS" and self.now >= job["_end"]:
                self._end_import(job)

    def _end_export(self, export: dict[str, Any]) -> None:
        export["EndTime"] = export["_end"]
        if self.export_failure:
            export |= {"ExportStatus": "FAILED"}
            export["FailureCode"], export["FailureMessage"] = self.export_failure
            return
        folder = f"{export['S3Prefix']}/AWSDynamoDB/{export['ExportArn'].rpartition('/')[2]}/"
        items, lines = export["_items"], []
        for number, share in enumerate((items // 2, items - items // 2, 0)):
            body = gzip.compress(b"".join(b'{"Item":{}}\n' for _line in range(share)), mtime=0) if share else b""
            key = f"{folder}data/{number}.json.gz"
            self.put(key, body)
            lines.append({"itemCount": share, "md5Checksum": md5(body), "etag": f"{number}-1", "dataFileS3Key": key})
        files = "\n".join(json.dumps(line) for line in lines).encode()
        summary = json.dumps(
            {
                "version": "2020-06-30",
                "exportArn": export["ExportArn"],
                "tableArn": export["TableArn"],
                "tableId": export["TableId"],
                "manifestFilesS3Key": f"{folder}manifest-files.json",
                "billedSizeBytes": items * 100,
                "itemCount": items,
                "outputFormat": export["ExportFormat"],
            }
        ).encode()
        for name, body in (("manifest-files", files), ("manifest-summary", summary)):
            self.put(f"{folder}{name}.json", body)
            self.put(f"{folder}{name}.md5", md5(body).encode())
        export |= {"ExportStatus": "COMPLETED", "ItemCount": items, "BilledSizeBytes": items * 100}
        export["ExportManifest"] = f"{folder}manifest-summary.json"

    def _end_import(self, job: dict[str, Any]) -> None:
        name = job["TableCreationParameters"]["TableName"]
        job["EndTime"] = job["_end"]
        table = self.tables.get((DESTINATION, name))
        if table is None or table.table_id != job["TableId"]:
            job |= {"ImportStatus": "FAILED", "FailureCode": "TableAlreadyExists", "FailureMessage": "exists"}
            return
        prefix = job["S3BucketSource"]["S3KeyPrefix"]
        bodies = [body for key, (body, _when) in self.objects.items() if key.startswith(prefix)]
        found = sum(gzip.decompress(body).count(b"\n") for body in bodies if body) - self.lost_items
        job |= {"ProcessedItemCount": found, "ImportedItemCount": found, "ErrorCount": 0}
        job |= {"ProcessedSizeBytes": found * 120, "ImportStatus": "COMPLETED"}
        table.items = found
        if self.import_failure:
            job |= {"ImportStatus": "FAILED", "ErrorCount": 1, "ImportedItemCount": found - 1}
            job["FailureCode"], job["FailureMessage"] = self.import_failure

    def put(self, key: str, body: bytes) -> None:
        self.objects[key] = (body, self.now)


def md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body).digest()).decode()


def public(job: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in job.items() if not name.startswith("_")}


class FakeAccount:
    """An Account over FakeAws."""

    partition, region = "aws", REGION
    ask = Account.ask
    pages = Account.pages
    explain = Account.explain
    confirm = Account.confirm
    spec = AccountSpec("source", "eu-west-1")

    def __init__(self, aws: FakeAws, side: str, account_id: str) -> None:
        self.aws, self.side, self.account_id = aws, side, account_id
        self.principal_arn = f"arn:aws:iam::{account_id}:role/ferry"

    def table_arn(self, name: str) -> str:
        return f"arn:aws:dynamodb:{REGION}:{self.account_id}:table/{name}"

    def client(self, service: str, region: str | None = None, *, retries: int = 8) -> Client:
        return Client(self.aws, self.account_id, service)


class Client:
    """A client of one service: snake-case methods, keyword arguments, botocore's answers and errors."""

    def __init__(self, aws: FakeAws, account_id: str, service: str) -> None:
        self._aws, self._account_id, self._service = aws, account_id, service

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        def call(**params: Any) -> dict[str, Any]:
            operation = "".join(part.title() for part in name.split("_"))
            with self._aws.lock:
                self._aws.settle()
                self._aws.calls.append((self._account_id, operation))
                number = len(self._aws.calls)
                self._aws.interrupt("before", operation, number)
                try:
                    answer: dict[str, Any] = getattr(self, f"_{self._service}_{name}")(**params)
                finally:
                    self._aws.interrupt("after", operation, number)
            return answer

        return call

    def _table(self, name: str, code: str = "ResourceNotFoundException") -> Table:
        table = self._aws.find(self._account_id, name.rpartition("/")[2])
        if table is None:
            raise failure(code, f"Requested resource not found: Table: {name} not found")
        return table

    # DynamoDB

    def _dynamodb_describe_table(self, TableName: str) -> dict[str, Any]:
        table = self._table(TableName)
        status = "CREATING" if table.active_at and self._aws.now < table.active_at else "ACTIVE"
        arn = f"arn:aws:dynamodb:{REGION}:{self._account_id}:table/{table.name}"
        return {
            "Table": {
                "TableName": table.name,
                "TableArn": arn,
                "TableId": table.table_id,
                "TableStatus": "DELETING" if table.deleted_at else status,
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
                "ItemCount": 0,
                **table.extra,
            }
        }

    def _dynamodb_describe_continuous_backups(self, TableName: str) -> dict[str, Any]:
        since = self._table(TableName, "TableNotFoundException").recovery_since
        told: dict[str, Any] = {"PointInTimeRecoveryStatus": "DISABLED"}
        if since:
            told = {
                "PointInTimeRecoveryStatus": "ENABLED",
                "EarliestRestorableDateTime": since,
                "LatestRestorableDateTime": max(since, self._aws.now - timedelta(seconds=300)),
            }
        return {
            "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": told,
            }
        }

    def _dynamodb_update_continuous_backups(
        self, TableName: str, PointInTimeRecoverySpecification: dict[str, Any]
    ) -> dict[str, Any]:
        table = self._table(TableName)
        on = PointInTimeRecoverySpecification["PointInTimeRecoveryEnabled"]
        table.recovery_since = (table.recovery_since or self._aws.now) if on else None
        return {}

    def _dynamodb_list_tags_of_resource(self, ResourceArn: str) -> dict[str, Any]:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._table(ResourceArn).tags.items()]}

    def _dynamodb_tag_resource(self, ResourceArn: str, Tags: list[dict[str, str]]) -> dict[str, Any]:
        self._table(ResourceArn).tags.update({tag["Key"]: tag["Value"] for tag in Tags})
        return {}

    def _dynamodb_untag_resource(self, ResourceArn: str, TagKeys: list[str]) -> dict[str, Any]:
        for key in TagKeys:
            self._table(ResourceArn).tags.pop(key, None)
        return {}

    def _dynamodb_scan(self, TableName: str, **params: Any) -> dict[str, Any]:
        items = self._table(TableName).items
        segments, segment = params.get("TotalSegments", 1), params.get("Segment", 0)
        share = items // segments + (segment < items % segments)
        return {"Count": min(share, params.get("Limit", share))}

    def _dynamodb_delete_table(self, TableName: str) -> dict[str, Any]:
        table = self._table(TableName)
        if table.deleted_at is None:
            table.deleted_at = self._aws.now
        return {}

    def _dynamodb_export_table_to_point_in_time(self, **call: Any) -> dict[str, Any]:
        aws = self._aws
        table = self._table(call["TableArn"], "TableNotFoundException")
        if table.recovery_since is None:
            raise failure("PointInTimeRecoveryUnavailableException", "Point in time recovery is not enabled")
        for export in aws.exports:
            if export["ClientToken"] == call["ClientToken"]:
                if {name: export.get(name) for name in call} != call:
                    raise failure("ExportConflictException", "Duplicate request detected with conflicting parameters")
                return {"ExportDescription": public(export)}
        latest = max(table.recovery_since, aws.now - timedelta(seconds=300))
        if not table.recovery_since <= call["ExportTime"] <= latest or call["ExportTime"].microsecond:
            raise failure("InvalidExportTimeException", "Export Time is invalid")
        if sum(export["ExportStatus"] == "IN_PROGRESS" for export in aws.exports) >= aws.export_slots:
            raise failure("LimitExceededException", "Too many exports")
        export = {
            **call,
            "ExportArn": f"{call['TableArn']}/export/{aws.new_id('export')}",
            "ExportStatus": "IN_PROGRESS",
            "StartTime": aws.now,
            "TableId": table.table_id,
            "_items": table.items,
            "_end": aws.now + timedelta(seconds=aws.export_seconds),
        }
        aws.exports.append(export)
        return {"ExportDescription": public(export)}

    def _dynamodb_describe_export(self, ExportArn: str) -> dict[str, Any]:
        for export in self._aws.exports:
            if export["ExportArn"] == ExportArn:
                return {"ExportDescription": public(export)}
        raise failure("ExportNotFoundException", "Export not found")

    def _page(self, jobs: list[dict[str, Any]], token: str | None) -> tuple[list[dict[str, Any]], dict[str, str]]:
        if token and self._aws.tokens_broken:
            raise failure("ValidationException", "Invalid Request: Provided nextToken is invalid")
        start = int(token or 0)
        page = list(reversed(jobs))[start : start + self._aws.page]
        more = {"NextToken": str(start + self._aws.page)} if start + self._aws.page < len(jobs) else {}
        return page, more

    def _dynamodb_list_exports(
        self, TableArn: str | None = None, MaxResults: int = 25, NextToken: str | None = None
    ) -> dict[str, Any]:
        listed = [job for job in self._aws.exports if job["ExportArn"] not in self._aws.unlisted]
        jobs = [job for job in listed if TableArn in (None, job["TableArn"])]
        page, more = self._page(jobs, NextToken)
        return {"ExportSummaries": [{key: job[key] for key in ("ExportArn", "ExportStatus")} for job in page], **more}

    def _dynamodb_import_table(self, **call: Any) -> dict[str, Any]:
        aws, name = self._aws, call["TableCreationParameters"]["TableName"]
        if aws.find(DESTINATION, name) is not None:
            raise failure("ResourceInUseException", f"Table already exists: {name}")
        for job in aws.imports:
            if job["ClientToken"] == call["ClientToken"]:
                return {"ImportTableDescription": public(job)}
        if sum(job["ImportStatus"] == "IN_PROGRESS" for job in aws.imports) >= aws.import_slots:
            raise failure("LimitExceededException", "Too many imports")
        arn, table_id = f"arn:aws:dynamodb:{REGION}:{DESTINATION}:table/{name}", aws.new_id("table")
        end = aws.now + timedelta(seconds=aws.import_seconds)
        job = {
            **call,
            "ImportArn": f"{arn}/import/{aws.new_id('import')}",
            "ImportStatus": "IN_PROGRESS",
            "TableArn": arn,
            "TableId": table_id,
            "StartTime": aws.now,
            "_end": end,
        }
        aws.imports.append(job)
        if (DESTINATION, name) not in aws.tables:
            visible = aws.now + timedelta(seconds=aws.visible_after)
            aws.tables[DESTINATION, name] = Table(name, table_id, visible_at=visible, active_at=end)
        return {"ImportTableDescription": public(job)}

    def _dynamodb_describe_import(self, ImportArn: str) -> dict[str, Any]:
        for job in self._aws.imports:
            if job["ImportArn"] == ImportArn:
                return {"ImportTableDescription": public(job)}
        raise failure("ImportNotFoundException", "Import not found")

    def _dynamodb_list_imports(
        self, TableArn: str | None = None, PageSize: int = 25, NextToken: str | None = None
    ) -> dict[str, Any]:
        jobs = [job for job in self._aws.imports if TableArn in (None, job["TableArn"])]
        page, more = self._page(jobs, NextToken)
        shown = ("ImportArn", "ImportStatus", "TableArn", "S3BucketSource")
        return {"ImportSummaryList": [{key: job[key] for key in shown} for job in page], **more}

    # S3

    def _bucket(self, bucket: str, owner: str) -> None:
        if self._aws.bucket_owner is None or bucket != BUCKET:
            raise failure("NoSuchBucket", "The specified bucket does not exist")
        if owner != self._aws.bucket_owner:
            raise failure("AccessDenied", "Access Denied", status=403)

    def _s3_list_objects_v2(
        self, Bucket: str, Prefix: str, ExpectedBucketOwner: str, ContinuationToken: str | None = None
    ) -> dict[str, Any]:
        self._bucket(Bucket, ExpectedBucketOwner)
        keys = sorted(key for key in self._aws.objects if key.startswith(Prefix))
        start = int(ContinuationToken or 0)
        page = [{"Key": key, "Size": len(self._aws.objects[key][0])} for key in keys[start : start + self._aws.page]]
        more = start + self._aws.page < len(keys)
        token = {"NextContinuationToken": str(start + self._aws.page)} if more else {}
        return {"Contents": page, "IsTruncated": more, **token}

    def _s3_get_object(self, Bucket: str, Key: str, ExpectedBucketOwner: str, Range: str = "") -> dict[str, Any]:
        self._bucket(Bucket, ExpectedBucketOwner)
        if Key not in self._aws.objects:
            raise failure("NoSuchKey", "The specified key does not exist.")
        if self._aws.unreadable in Key:
            raise failure("AccessDenied", "Access Denied", status=403)
        body, when = self._aws.objects[Key]
        if Range and not body:
            raise failure("InvalidRange", "The requested range is not satisfiable")
        return {"Body": io.BytesIO(body[:1] if Range else body), "ETag": md5(body), "LastModified": when}

    def _s3_put_object(
        self,
        Bucket: str,
        Key: str,
        Body: bytes,
        ExpectedBucketOwner: str,
        IfNoneMatch: str = "",
        IfMatch: str = "",
        **_more: Any,
    ) -> dict[str, Any]:
        self._bucket(Bucket, ExpectedBucketOwner)
        if self._account_id == SOURCE and "/AWSDynamoDB/" not in Key:
            raise failure("AccessDenied", "Access Denied", status=403)
        there = self._aws.objects.get(Key)
        if (IfNoneMatch and there) or (IfMatch and (there is None or md5(there[0]) != IfMatch)):
            raise failure("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        self._aws.put(Key, Body)
        return {}

    def _s3_delete_objects(self, Bucket: str, Delete: dict[str, Any], ExpectedBucketOwner: str) -> dict[str, Any]:
        self._bucket(Bucket, ExpectedBucketOwner)
        for entry in Delete["Objects"]:
            self._aws.objects.pop(entry["Key"], None)
        return {}

    def _s3_head_bucket(self, Bucket: str, ExpectedBucketOwner: str) -> dict[str, Any]:
        self._bucket(Bucket, ExpectedBucketOwner)
        return {"BucketRegion": REGION}

    # KMS, CloudWatch Logs

    def _kms_describe_key(self, KeyId: str) -> dict[str, Any]:
        if "missing" in KeyId:
            raise failure("NotFoundException", "Key does not exist")
        manager = "AWS" if "managed" in KeyId else "CUSTOMER"
        state = "Disabled" if "disabled" in KeyId else "Enabled"
        return {"KeyMetadata": {"Arn": KeyId, "KeyManager": manager, "KeyState": state, "KeySpec": "SYMMETRIC_DEFAULT"}}

    def _logs_get_log_events(self, logGroupName: str, logStreamName: str, **_more: Any) -> dict[str, Any]:
        if logStreamName not in self._aws.logs:
            raise failure("ResourceNotFoundException", "The specified log stream does not exist.")
        return {"events": [{"message": message} for message in self._aws.logs[logStreamName]]}
