# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the failures that AWS reports late mean, and what to do (aws.md A3, B4; measured/import-export-table 1.3)."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import ExportFailed

_EXPORT = {
    "S3NoSuchBucket": "Create the staging bucket, or set ferry_staging_bucket to one that exists, and run again.",
    "KmsNotFoundException": "Name the staging key by its full ARN; it must exist, be enabled, and lie in the bucket's"
    " Region. Then run again.",
}
_S3_DENIED = (
    "Check that the bucket belongs to the account that bucket_owner names, and that its policy allows the exporting"
    " principal s3:PutObject, s3:PutObjectAcl and s3:AbortMultipartUpload, as that principal's own policy must."
    " Then run again."
)
_KMS_DENIED = (
    "Allow the exporting principal kms:GenerateDataKey, kms:Decrypt and kms:DescribeKey, in the key's policy and in its"
    " own. Then run again."
)

# In the order of what explains most: (words to look for in the log's messages, what to do).
_IMPORT_LOG = (
    (
        "unexpected token",
        "The import read the objects with another compression than they have: exports are GZIP, say so.",
    ),
    (
        "expected 'item' top level container",
        "The prefix is not at the export's data/ folder, or the files are those of an incremental export, which cannot"
        " be imported.",
    ),
    (
        "failed to decompress",
        "A staged object is damaged: make a new export (with ferry_export_max_age: 0 the old one is not used again).",
    ),
    ("modified", "An object changed while it was being read: keep others from writing to the staging bucket."),
    (
        "key",
        "Items lack the table's key or have it with another type: export the table again, and do not edit the files.",
    ),
)
_IMPORT = {
    "S3NoSuchBucket": "Set ferry_staging_bucket to a bucket that exists.",
    "TableAlreadyExists": "Another import or CreateTable made a table of this name first: nothing of this import was"
    " written. Look whose table it is; choose another ferry_destination_table or delete that table yourself.",
    "S3AccessDenied": "Allow the importing principal s3:GetObject on the bucket's objects, s3:ListBucket on the bucket"
    " and kms:Decrypt on its key.",
    "ImportNotFoundException": "AWS keeps the records of imports for 90 days: look at the table yourself.",
}
_LOGS = (
    "Allow the importing principal logs:CreateLogGroup, logs:CreateLogStream, logs:DescribeLogGroups,"
    " logs:DescribeLogStreams, logs:PutLogEvents and logs:PutRetentionPolicy for the log group /aws-dynamodb/imports."
)


def export_hint(code: str, message: str) -> str:
    """What to do about an export's FailureCode and FailureMessage; the set of codes is open."""
    if code in _EXPORT:
        return _EXPORT[code]
    if "AccessDenied" in code or "Access Denied" in message:
        return _KMS_DENIED if "kms:" in message.lower() else _S3_DENIED
    return "Mend what AWS names and run again: the next run starts a new export."


def export_failed(arn: str, code: str, message: str) -> ExportFailed:
    """The error for an export that AWS reports FAILED, or does not know any more."""
    return ExportFailed(
        f"The export {arn} failed: {code}{f': {message}' if message else ''}".rstrip(".") + ".",
        export_hint(code, message),
        details={"export_arn": arn, "code": code, "message": message},
    )


def import_hint(code: str, message: str, logged: Iterable[str]) -> str:
    """What to do about an import's failure, from its code and the messages of its log."""
    texts = " ".join(logged).lower()
    for words, advice in _IMPORT_LOG:
        if words in texts:
            return advice
    if code in _IMPORT:
        return _IMPORT[code]
    if "logs:" in message or "CloudWatch" in code:
        return _LOGS
    if "AccessDenied" in code or "kms:" in message.lower():
        return _IMPORT["S3AccessDenied"]
    return "Mend what AWS names and run again."
