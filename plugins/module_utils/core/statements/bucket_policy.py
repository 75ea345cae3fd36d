# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy of a bucket that is the account's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..account import Account
from ..aws_errors import DENIED, NO_BUCKET, NO_BUCKET_SETTING, NO_OBJECT
from ..errors import AccessDenied, ServiceError, StagingBucketUnusable
from .policy_documents import Policy, parse
from .shared_policy import as_text, put


def bucket_exists(account: Account, name: str) -> bool:
    """Whether ``account`` has the bucket ``name``; another account's is refused, even if its policy gives us access.

    Raises StagingBucketUnusable (S3 answers 403 for another owner's bucket and for a missing permission alike),
    CredentialsError, ServiceError.
    """
    try:
        found = account.ask(
            "s3",
            "head_bucket",
            f"looking at the bucket {name}",
            missing=NO_OBJECT | NO_BUCKET,
            Bucket=name,
            ExpectedBucketOwner=account.account_id,
        )
    except AccessDenied as error:
        if error.details.get("code") not in DENIED:
            raise
        raise StagingBucketUnusable(
            f"The bucket {name} belongs to another account than {account.account_id}, or its caller may not see it.",
            "All accounts share bucket names: choose another one. If it is this account's, allow s3:ListBucket.",
            details=error.details,
        ) from error
    return found is not None


@dataclass(frozen=True)
class BucketPolicy:
    """The policy of the bucket ``name`` of ``account``."""

    account: Account = field(repr=False)
    name: str

    @property
    def what(self) -> str:
        """The policy in a message."""
        return f"policy of the bucket {self.name}"

    @property
    def arn(self) -> str:
        """The bucket's ARN."""
        return f"arn:{self.account.partition}:s3:::{self.name}"

    def read(self) -> Policy:
        """As ``SharedPolicy.read``."""
        try:
            answer = self.account.ask(
                "s3",
                "get_bucket_policy",
                f"reading the {self.what}",
                missing=NO_BUCKET_SETTING,
                Bucket=self.name,
                ExpectedBucketOwner=self.account.account_id,
            )
        except ServiceError as error:
            if error.details.get("code") not in NO_BUCKET:
                raise
            raise StagingBucketUnusable(
                f"The bucket {self.name} is gone: it was there a moment ago.",
                "Run again. A cleanup may have removed it at the same time.",
                details=error.details,
            ) from error
        return parse(answer["Policy"], self.what) if answer else {}

    def write(self, policy: Policy) -> None:
        """As ``SharedPolicy.write``."""
        place: dict[str, Any] = {"Bucket": self.name, "ExpectedBucketOwner": self.account.account_id}
        if policy:
            put(self.account, self.what, "put_bucket_policy", "s3", policy, Policy=as_text(policy), **place)
        else:
            self.account.ask("s3", "delete_bucket_policy", f"removing the {self.what}", **place)
