# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the failures of exports mean, and what to do (aws.md A3; measured/import-export-table 1.3)."""

from __future__ import annotations

from ..errors import ExportFailed

_EXPORT = {
    "S3NoSuchBucket": "Create the staging bucket, or set bucket to one that exists, then run again.",
    "KmsNotFoundException": "Set kms_key_arn to the full ARN of a key that exists, is enabled and is in the bucket's"
    " Region, then run again.",
}
_S3_DENIED = (
    "Check that the bucket belongs to the account bucket_owner, and that its policy and the exporting principal's own"
    " policy allow that principal s3:PutObject, s3:PutObjectAcl and s3:AbortMultipartUpload. Then run again."
)
_KMS_DENIED = (
    "Allow the exporting principal kms:GenerateDataKey, kms:Decrypt and kms:DescribeKey, in the key's policy and in"
    " its own. Then run again."
)


def export_hint(code: str, message: str) -> str:
    """What to do about an export's FailureCode and FailureMessage; the set of codes is open."""
    if code in _EXPORT:
        return _EXPORT[code]
    if "AccessDenied" in code or "Access Denied" in message:
        return _KMS_DENIED if "kms:" in message.lower() else _S3_DENIED
    return "Fix the cause AWS reports, then run again: the next run starts a new export."


def export_failed(arn: str, code: str, message: str) -> ExportFailed:
    """The error for an export that AWS reports as FAILED, or does not know any more."""
    return ExportFailed(
        f"The export {arn} failed: {code}{f': {message}' if message else ''}".rstrip(".") + ".",
        export_hint(code, message),
        details={"export_arn": arn, "code": code, "message": message},
    )
