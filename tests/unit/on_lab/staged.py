# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both accounts in process with a staging bucket and tables, as the guide leaves them before a first run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from lab.landscape import DESTINATION, REGION, SOURCE
from tests.unit.on_lab.in_process import AGE, InProcess

__all__ = ["BUCKET", "DATA", "DESTINATION", "REGION", "SOURCE", "Staged"]

BUCKET = "tableferry-staging"
DATA = f"arn:aws:s3:::{BUCKET}/*/data/*"
LOG_GROUP = "/aws-dynamodb/imports"
RECOVERY_SECONDS = 1000.0  # until a table has times to which it can be restored


class Staged(InProcess):
    """A lab whose source has ``tables`` (how many items each has), with point-in-time recovery for nearly three days.

    The clock is the machine's at first (``ago`` seconds behind it), for code that compares with it.
    """

    def __init__(
        self,
        tables: Mapping[str, int] | None = None,
        recovery: bool = True,
        ago: float = 0.0,
        region: str = REGION,
        **timings: float,
    ) -> None:
        super().__init__(ago, region, **{"export__full": 10.0, **timings})
        self.make_bucket()
        self.client("logs", "destination").create_log_group(logGroupName=LOG_GROUP)
        for name, items in (tables or {}).items():
            self.add_table(name, items, recovery=False)
        if recovery:
            for name in tables or {}:
                self.turn_on_recovery(name)
        self.began = self._began + AGE
        self.world.advance(self.began - self.clock)

    # Tables

    def add_table(self, name: str, items: int = 0, side: str = "source", recovery: bool = True, **create: Any) -> None:
        """A new table; a quarter of an hour goes by where it gets point-in-time recovery."""
        shape = {
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
            **create,
        }
        self.client("dynamodb", side).create_table(TableName=name, **shape)
        self.world.advance(20)
        self.write(name, items, side)
        if recovery:
            self.turn_on_recovery(name, side)
            self.world.advance(RECOVERY_SECONDS)

    def write(self, name: str, items: int, side: str = "source", first: int = 0) -> None:
        """Put ``items`` items, numbered from ``first``, into a table."""
        puts = [{"PutRequest": {"Item": {"id": {"S": f"{first + number:04d}"}}}} for number in range(items)]
        for batch in (puts[start : start + 25] for start in range(0, items, 25)):
            self.client("dynamodb", side).batch_write_item(RequestItems={name: batch})

    def erase(self, name: str, items: int, side: str = "destination") -> None:
        """Take the first ``items`` items out of a table."""
        for number in range(items):
            self.client("dynamodb", side).delete_item(TableName=name, Key={"id": {"S": f"{number:04d}"}})

    def turn_on_recovery(self, name: str, side: str = "source") -> None:
        """Point-in-time recovery for a table."""
        self.client("dynamodb", side).update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        self.world.advance(1)  # more calls at once are throttled

    def recovery(self, name: str) -> Mapping[str, Any]:
        """Point-in-time recovery of a table of the source, as DescribeContinuousBackups answers."""
        answer = self.client("dynamodb", "source").describe_continuous_backups(TableName=name)
        description: Mapping[str, Any] = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        return description

    def drop(self, name: str = "orders", side: str = "destination") -> None:
        """Delete a table and wait until it is gone."""
        self.client("dynamodb", side).delete_table(TableName=name)
        self.world.advance(10)

    def described(self, name: str, side: str = "destination") -> Mapping[str, Any]:
        """DescribeTable's answer."""
        table: Mapping[str, Any] = self.client("dynamodb", side).describe_table(TableName=name)["Table"]
        return table

    def tag(self, name: str, key: str, value: str, side: str = "destination") -> None:
        """Give a table a tag that can be read at once."""
        account = self.landscape["accounts"][side]["account_id"]
        arn = f"arn:{self.partition}:dynamodb:{self.region}:{account}:table/{name}"
        self.client("dynamodb", side).tag_resource(ResourceArn=arn, Tags=[{"Key": key, "Value": value}])
        self.world.advance(5)

    def tags(self, name: str, side: str = "source") -> dict[str, str]:
        """The tags of a table."""
        account = self.landscape["accounts"][side]["account_id"]
        arn = f"arn:{self.partition}:dynamodb:{self.region}:{account}:table/{name}"
        tags = self.client("dynamodb", side).list_tags_of_resource(ResourceArn=arn)["Tags"]
        return {tag["Key"]: tag["Value"] for tag in tags}

    # Jobs

    def exports(self) -> list[dict[str, Any]]:
        """The exports, oldest first, as DescribeExport answers."""
        client = self.client("dynamodb", "source")
        return [client.describe_export(ExportArn=job.id)["ExportDescription"] for job in self.jobs("export")]

    def imports(self) -> list[dict[str, Any]]:
        """The imports, oldest first, as DescribeImport answers."""
        client = self.client("dynamodb", "destination")
        return [client.describe_import(ImportArn=job.id)["ImportTableDescription"] for job in self.jobs("import")]

    def fail_next(self, operation: str, code: str = "", message: str = "", **more: Any) -> None:
        """Let the next job that ``operation`` begins fail."""
        self.world.faults.add(operation=operation, kind="job_failure", code=code, message=message, **more)

    def may_not(self, side: str, *actions: str, resource: str = "*") -> None:
        """Deny the principal of ``side`` these actions, at once: that IAM is late has tests of its own."""
        self.world.timings.set("iam.propagation", 0)
        statement = {"Effect": "Deny", "Action": actions, "Resource": resource}
        self.client("iam", side).put_role_policy(
            RoleName="ferry", PolicyName="denied", PolicyDocument=json.dumps(document(statement))
        )

    def may_again(self, side: str) -> None:
        """Allow again what ``may_not`` denied."""
        self.client("iam", side).delete_role_policy(RoleName="ferry", PolicyName="denied")

    def key(self, side: str, usable: bool = True, shared: bool = False) -> str:
        """A customer managed key of ``side``: its ARN. ``shared``: the source may use it too."""
        kms, owner = self.client("kms", side), self.landscape["accounts"][side]["account_id"]
        roots = [f"arn:{self.partition}:iam::{account}:root" for account in ((owner, SOURCE) if shared else (owner,))]
        statement = {"Effect": "Allow", "Principal": {"AWS": roots}, "Action": "kms:*", "Resource": "*"}
        arn = str(kms.create_key(Policy=json.dumps(document(statement)))["KeyMetadata"]["Arn"])
        if not usable:
            kms.disable_key(KeyId=arn)
        return arn

    # The staging bucket

    def make_bucket(self, owner: str = "destination") -> None:
        """The bucket, open to exports of the source."""
        s3 = self.client("s3", owner)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": self.region})
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{self.partition}:iam::{SOURCE}:root"},
            "Action": ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"],
            "Resource": f"arn:{self.partition}:s3:::{BUCKET}/*/AWSDynamoDB/*",
        }
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(document(statement)))

    def remove_bucket(self) -> None:
        """Delete the bucket with all that is in it."""
        self.remove(*self.objects())
        self.client("s3", "destination").delete_bucket(Bucket=BUCKET)

    def objects(self, part: str = "") -> dict[str, bytes]:
        """The objects with ``part`` in their keys."""
        s3 = self.client("s3", "destination")
        listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        keys = [each["Key"] for each in listed if part in each["Key"]]
        return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def put(self, key: str, body: bytes) -> None:
        """Write an object."""
        self.client("s3", "destination").put_object(Bucket=BUCKET, Key=key, Body=body)

    def remove(self, *keys: str) -> None:
        """Delete objects."""
        for key in keys:
            self.client("s3", "destination").delete_object(Bucket=BUCKET, Key=key)

    def log(self, stream: str, messages: list[str]) -> None:
        """Write the import log's ``stream``."""
        logs = self.client("logs", "destination")
        with suppress(ClientError):
            logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=stream)
        events = [{"timestamp": int(self.clock * 1000), "message": message} for message in messages]
        logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=stream, logEvents=events)


def document(*statements: Mapping[str, Any]) -> dict[str, Any]:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}
