# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The staging bucket: its state, and the changes it needs, planned before they are made and in check mode too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.policy_documents import (
    with_statements,
    without_statement,
)

MARK = {"tableferry:managed": "true"}
ENFORCED = "BucketOwnerEnforced"
BLOCKED = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
EXPORT_ACTIONS = ("s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload")


def export_statement(bucket: str, principal: str, partition: str = "aws") -> dict[str, Any]:
    """The statement that allows ``principal`` of the source account to export to ``bucket``, no more (aws.md A4)."""
    return {
        "Sid": statement_id(principal),
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": list(EXPORT_ACTIONS),
        "Resource": f"arn:{partition}:s3:::{bucket}/tableferry/*/AWSDynamoDB/*",
    }


def statement_id(principal: str) -> str:
    """The Sid of the statement of a principal; Sids consist of letters and digits only."""
    return f"TableFerryExport{hashlib.sha256(principal.encode()).hexdigest()[:12]}"


def tls_statement(bucket: str, partition: str = "aws") -> dict[str, Any]:
    """The statement that denies requests without TLS."""
    arn = f"arn:{partition}:s3:::{bucket}"
    return {
        "Sid": "TableFerryTlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def bucket_plan(
    buckets: Sequence[Mapping[str, Any]],
    name: str,
    principal: str,
    partition: str = "aws",
    kms_key_arn: str = "",
) -> dict[str, Any]:
    """The changes to the staging bucket ``name``, from the result of s3_bucket_info.

    Returns ``exists``; ``ours``, whether we created the bucket or are about to, so that its settings are ours;
    ``policy``, complete, with the statements of others kept; ``changes``, in words; and ``problem``, empty or what the
    user must fix first. A bucket that someone else created only gets the statement of the source's principal.
    """
    found = next((bucket for bucket in buckets if bucket["name"] == name), None)
    ours = found is None or _holds(found.get("bucket_tagging") or {}, MARK)
    statements = [export_statement(name, principal, partition)]
    if ours:
        statements.append(tls_statement(name, partition))
    before = bucket_policy(found or {})
    policy = with_statements(before, statements)
    plan = {"exists": found is not None, "ours": ours, "policy": policy, "changes": [], "problem": ""}
    if found is None:
        return {**plan, "changes": [f"create the bucket {name}, to which only {principal} may export"]}
    if not ours and _ownership(found) != ENFORCED:
        problem = f"Writers to the bucket {name} own the objects they write. Set its object ownership to {ENFORCED}."
        return {**plan, "problem": problem}
    changes = []
    if policy != before:
        changes.append(f"allow {principal} to write exports to {name}")
    if ours:
        changes += [f"set {what} of {name}" for what, right in _settings(found, kms_key_arn) if not right]
    return {**plan, "changes": changes}


def bucket_policy(bucket: Mapping[str, Any]) -> dict[str, Any]:
    """The policy of a bucket as s3_bucket_info shows it, empty when it has none."""
    text = (bucket.get("bucket_policy") or {}).get("Policy") or "{}"
    return json.loads(text) if isinstance(text, str) else dict(text)


def _holds(whole: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    return all(whole.get(key) == value for key, value in part.items())


def _ownership(bucket: Mapping[str, Any]) -> str:
    rules = ((bucket.get("bucket_ownership_controls") or {}).get("OwnershipControls") or {}).get("Rules") or [{}]
    return str(rules[0].get("ObjectOwnership", ""))


def _settings(bucket: Mapping[str, Any], kms_key_arn: str) -> list[tuple[str, bool]]:
    """The settings of a bucket of ours, and whether each is as it should be."""
    block = (bucket.get("public_access_block") or {}).get("PublicAccessBlockConfiguration") or {}
    configured = (bucket.get("bucket_encryption") or {}).get("ServerSideEncryptionConfiguration") or {}
    rule = ((configured.get("Rules") or [{}])[0]).get("ApplyServerSideEncryptionByDefault") or {}
    encryption = ("aws:kms", kms_key_arn) if kms_key_arn else ("AES256", "")
    return [
        ("the object ownership", _ownership(bucket) == ENFORCED),
        ("the public access block", all(block.get(part) for part in BLOCKED)),
        ("the encryption", (rule.get("SSEAlgorithm"), rule.get("KMSMasterKeyID", "")) == encryption),
    ]


class FilterModule:
    """Filters for the staging bucket."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "bucket_plan": bucket_plan,
            "bucket_policy": bucket_policy,
            "statement_id": statement_id,
            "without_statement": without_statement,
        }
