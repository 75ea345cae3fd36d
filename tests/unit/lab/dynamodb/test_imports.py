# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports: what is refused at the call, what fails late, what bad lines cost, and how rivals end."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest

from lab.dynamodb import imports, jobs, values
from lab.dynamodb.creation import KEY_ORDER
from lab.rules import RuleBroken
from lab.s3.buckets import Buckets

SOURCE, DESTINATION = "111111111111", "222222222222"
REGION = "eu-west-1"
BUCKET = "staging"
ARN = f"arn:aws:dynamodb:{REGION}:{DESTINATION}:table/copy"
LONG = 200.0
PARAMETERS: dict[str, Any] = {
    "TableName": "copy",
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}


class Importing:
    """The destination's desk with its bucket."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.world = desk.world
        self.s3 = desk.world.part(Buckets)
        self.bucket = self.s3.create_bucket(desk.caller, BUCKET, REGION, REGION, "", "")
        self._tokens = 0

    def put(self, key: str, *lines: Any, zipped: bool = False) -> None:
        """An object of lines: items, or raw text."""
        texts = [line if isinstance(line, str) else json.dumps({"Item": line}) for line in lines]
        body = "\n".join(texts).encode()
        self.s3.put_object_as(self.desk.caller, BUCKET, key, gzip.compress(body) if zipped else body)

    def request(self, prefix: str = "data/", **params: Any) -> dict[str, Any]:
        """A whole request, its token fresh unless given."""
        self._tokens += 1
        source = {"S3Bucket": BUCKET, "S3KeyPrefix": prefix}
        defaults = {
            "S3BucketSource": source, "InputFormat": "DYNAMODB_JSON", "TableCreationParameters": PARAMETERS,
            "ClientToken": f"token-{self._tokens}",
        }  # fmt: skip
        return {**defaults, **params}

    def start(self, prefix: str = "data/", **params: Any) -> dict[str, Any]:
        """ImportTable's description."""
        answer: dict[str, Any] = self.desk("ImportTable", **self.request(prefix, **params))["ImportTableDescription"]
        return answer

    def describe(self, arn: str) -> dict[str, Any]:
        """DescribeImport's description."""
        answer: dict[str, Any] = self.desk("DescribeImport", ImportArn=arn)["ImportTableDescription"]
        return answer

    def run(self, prefix: str = "data/", **params: Any) -> dict[str, Any]:
        """The description at the end."""
        arn = self.start(prefix, **params)["ImportArn"]
        self.desk.wait(LONG)
        return self.describe(arn)

    def counted(self, *args: Any, **params: Any) -> tuple[str, int, int, int]:
        """Status or failure code, and processed, imported, errors of a run."""
        done = self.run(*args, **params)
        counters = done["ProcessedItemCount"], done["ImportedItemCount"], done["ErrorCount"]
        return done.get("FailureCode", done["ImportStatus"]), *counters

    def items(self, name: str = "copy") -> list[str]:
        """The partition keys of the table, in order."""
        return sorted(item["pk"]["S"] for item in self.desk("Scan", TableName=name)["Items"])

    def log(self, done: dict[str, Any], stream: str = "error") -> list[dict[str, Any]]:
        """The log's messages."""
        identifier = done["ImportArn"].rpartition("/")[2]
        events = self.desk(
            "GetLogEvents", service="logs", logGroupName="/aws-dynamodb/imports", logStreamName=f"{identifier}/{stream}"
        )["events"]
        return [json.loads(event["message"]) for event in events]


def item(pk: str, **others: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, **{name: {"S": value} for name, value in others.items()}}


@pytest.fixture
def importing(other_desk: Any) -> Importing:
    return Importing(other_desk)


# At the call


def test_import_parameters(importing: Importing) -> None:
    for change, text in [
        ({"BillingMode": "PROVISIONED"}, "ReadCapacityUnits and WriteCapacityUnits must both be specified"),
        (
            {
                "AttributeDefinitions": [
                    *PARAMETERS["AttributeDefinitions"],
                    {"AttributeName": "x", "AttributeType": "S"},
                ]
            },
            "Number of attributes in KeySchema does not exactly match number of attributes defined in Attribute",
        ),
        ({"SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/no"}}, "is not found"),
    ]:
        with pytest.raises(Exception, match=f"ValidationException.*{text}"):
            importing.start(TableCreationParameters={**PARAMETERS, **change})


def test_import_format_options(importing: Importing) -> None:
    importing.desk.refused(
        imports.OPTIONS, "ValidationException",
        "Unsupported InputFormatOptions for the given input format: DYNAMODB_JSON.", "ImportTable",
        **importing.request(InputFormatOptions={"Csv": {"Delimiter": ","}}),
    )  # fmt: skip


def test_import_refuses_warm_indexes(importing: Importing) -> None:
    index = {
        "IndexName": "warm",
        "KeySchema": PARAMETERS["KeySchema"],
        "Projection": {"ProjectionType": "ALL"},
        "WarmThroughput": {"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 4000},
    }
    importing.desk.refused(
        imports.NO_WARM_INDEX, "ValidationException",
        "WarmThroughput is not supported on Global Secondary Indexes via ImportTable", "ImportTable",
        **importing.request(TableCreationParameters={**PARAMETERS, "GlobalSecondaryIndexes": [index]}),
    )  # fmt: skip


@pytest.mark.parametrize("answer", ["refused", "left_out"])
def test_import_of_index_keys(importing: Importing, answer: str) -> None:
    importing.world.behaviours.choose("dynamodb.import_of_index_keys", answer)
    index = {
        "IndexName": "by-kind",
        "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    parameters = {
        **PARAMETERS,
        "AttributeDefinitions": [*PARAMETERS["AttributeDefinitions"], {"AttributeName": "kind", "AttributeType": "S"}],
        "GlobalSecondaryIndexes": [index],
    }
    bad = [{"pk": {"S": "n"}, "kind": {"N": "1"}}, item("e", kind=""), item("l", kind="x" * 2049)]
    importing.put("data/1", item("a", kind="fits"), *bad)
    counted = importing.counted(TableCreationParameters=parameters)
    refused = answer == "refused"
    assert counted == (("ItemValidationError", 4, 1, 3) if refused else ("COMPLETED", 4, 4, 0))
    in_index = importing.desk("Scan", TableName="copy", IndexName="by-kind")["Items"]
    assert [each["pk"]["S"] for each in in_index] == ["a"]


def test_import_token_on_the_wire(importing: Importing) -> None:
    request = importing.request()
    del request["ClientToken"]
    importing.desk.refused(imports.TOKEN_NEEDED, "ValidationException", "ClientToken", "ImportTable", **request)
    request["TableCreationParameters"] = {**PARAMETERS, "KeySchema": [{"AttributeName": "pk", "KeyType": "RANGE"}]}
    importing.desk.refused(KEY_ORDER, "ValidationException", "not a HASH key type", "ImportTable", **request)


def test_begun_import_is_in_the_books(importing: Importing) -> None:
    request = importing.request()
    first = importing.desk("ImportTable", **request)["ImportTableDescription"]
    importing.desk("ImportTable", **request)
    (begun,) = importing.desk.world.request_log.jobs("import")
    assert (begun.id, begun.resource) == (first["ImportArn"], first["TableArn"])


def test_import_without_a_package_for_zstd(importing: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "zstd", None)
    request = importing.request(InputCompressionType="ZSTD")
    importing.desk.refused(imports.ZSTD, "ValidationException", "backports-zstd", "ImportTable", **request)


def test_import_into_existing_table(importing: Importing) -> None:
    first = importing.request()
    importing.desk("ImportTable", **first)
    importing.desk.wait(LONG)
    for request in (first, importing.request()):
        with pytest.raises(RuleBroken, match="ResourceInUseException: Table already exists: copy"):
            importing.desk("ImportTable", **request)


def test_import_token(importing: Importing) -> None:
    importing.put("data/bad", "no json")
    request = importing.request()
    first = importing.desk("ImportTable", **request)["ImportTableDescription"]
    again = importing.start(**{**request, "S3BucketSource": {"S3Bucket": "other", "S3KeyPrefix": "else/"}})
    assert again["ImportArn"] == first["ImportArn"]
    assert again["S3BucketSource"]["S3Bucket"] == BUCKET
    changed = {**request, "TableCreationParameters": {**PARAMETERS, "TableName": "another"}}
    importing.desk.refused(
        imports.TOKEN, "ImportConflictException", "Duplicate request detected with conflicting parameters",
        "ImportTable", **changed,
    )  # fmt: skip
    importing.desk.wait(LONG)
    importing.desk("DeleteTable", TableName="copy")
    importing.desk.wait(30)
    late = importing.desk("ImportTable", **request)["ImportTableDescription"]
    assert (late["ImportArn"], late["ImportStatus"]) == (first["ImportArn"], "FAILED")


def test_import_quota(importing: Importing) -> None:
    for number in range(50):
        importing.start(TableCreationParameters={**PARAMETERS, "TableName": f"copy-{number}"})
    importing.desk.refused(
        imports.QUOTA, "LimitExceededException", "50 concurrent imports", "ImportTable", **importing.request()
    )
    importing.desk.wait(LONG)
    assert importing.start()["ImportStatus"] == "IN_PROGRESS"
    importing.world.quotas = False
    for number in range(50):
        importing.start(TableCreationParameters={**PARAMETERS, "TableName": f"more-{number}"})


# Late


def test_import_fails_late(importing: Importing) -> None:
    arn = importing.start(S3BucketSource={"S3Bucket": "missing"})["ImportArn"]
    importing.desk.wait(6)
    done = importing.describe(arn)
    assert (done["ImportStatus"], done["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    assert done["FailureMessage"].startswith(
        "The specified bucket does not exist (Service: Amazon S3; Status Code: 404"
    )
    importing.desk.wait(LONG)
    with pytest.raises(RuleBroken, match="ResourceNotFoundException"):
        importing.desk("DescribeTable", TableName="copy")
    assert done["TableArn"] == ARN and done["TableId"]


def test_import_bucket_owner(importing: Importing, desk: Any) -> None:
    foreign = importing.s3.create_bucket(desk.caller, "foreign", REGION, REGION, "", "")
    statement = {
        "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{DESTINATION}:root"},
        "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [foreign.arn, f"{foreign.arn}/*"],
    }  # fmt: skip
    foreign.policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    importing.s3.put_object_as(desk.caller, "foreign", "data/one", json.dumps({"Item": item("a")}).encode())
    assert importing.run(S3BucketSource={"S3Bucket": "foreign"})["FailureCode"] == "S3AccessDenied"
    named = {"S3Bucket": "foreign", "S3BucketOwner": SOURCE}
    assert importing.counted(S3BucketSource=named) == ("COMPLETED", 1, 1, 0)


@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:GetObject"])
def test_import_reads_as_caller(importing: Importing, action: str) -> None:
    importing.put("data/one", item("a"))
    statement = {
        "Effect": "Deny", "Principal": {"AWS": importing.desk.caller.arn}, "Action": action,
        "Resource": [importing.bucket.arn, f"{importing.bucket.arn}/*"],
    }  # fmt: skip
    importing.bucket.policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    done = importing.run()
    assert done["FailureCode"] == "S3AccessDenied"
    assert f"is not authorized to perform: {action}" in done["FailureMessage"]


def test_import_reads_under_a_customer_key(importing: Importing) -> None:
    key = importing.desk("CreateKey", service="kms")["KeyMetadata"]["Arn"]
    importing.s3.put_object_as(
        importing.desk.caller, BUCKET, "data/one", json.dumps({"Item": item("a")}).encode(), sse_algorithm="KMS",
        kms_key_id=key,
    )  # fmt: skip
    importing.desk("DisableKey", service="kms", KeyId=key)
    assert importing.run()["FailureCode"].startswith(("S3KMS", "Kms"))
    importing.desk("EnableKey", service="kms", KeyId=key)
    assert importing.counted() == ("COMPLETED", 1, 1, 0)


def test_import_needs_logs(importing: Importing) -> None:
    user = importing.world.identity.add_user(DESTINATION, "no-logs")
    statement = {"Effect": "Allow", "Action": ["dynamodb:*", "s3:*"], "Resource": "*"}
    user.inline["only"] = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    key = importing.world.identity.add_access_key(DESTINATION, "no-logs")
    importing.desk.caller = importing.world.identity.credential(key.id).caller
    done = importing.run()
    assert done["FailureCode"] == "ConfigurationError"
    assert "logs:" in done["FailureMessage"]


def test_import_rivals(importing: Importing) -> None:
    importing.put("data/one", item("a"))
    winners = set()
    for _ in range(8):
        arns = [importing.start()["ImportArn"] for _ in range(3)]
        importing.desk.wait(LONG)
        ends = [importing.describe(arn) for arn in arns]
        codes = [end.get("FailureCode", end["ImportStatus"]) for end in ends]
        assert sorted(codes) == ["COMPLETED", "TableAlreadyExists", "TableAlreadyExists"]
        winner = codes.index("COMPLETED")
        assert importing.desk.describe("copy")["TableId"] == ends[winner]["TableId"]
        winners.add(winner)
        importing.desk("DeleteTable", TableName="copy")
        importing.desk.wait(30)
    assert len(winners) > 1


def test_import_loses_to_a_table_created_meanwhile(importing: Importing) -> None:
    arn = importing.start()["ImportArn"]
    importing.desk.wait(10)
    importing.desk.table("copy")
    importing.desk.wait(LONG)
    assert importing.describe(arn)["FailureCode"] == "TableAlreadyExists"


# States


def test_import_states(importing: Importing) -> None:
    importing.put("data/one", item("a"))
    arn = importing.start()["ImportArn"]
    importing.desk.wait(29)
    with pytest.raises(RuleBroken, match="ResourceNotFoundException"):
        importing.desk("DescribeTable", TableName="copy")
    importing.desk.wait(5)
    assert importing.desk.status("copy") == "CREATING"
    with pytest.raises(RuleBroken, match="ResourceInUseException"):
        importing.desk("DeleteTable", TableName="copy")
    importing.desk.wait(72)
    assert (importing.desk.status("copy"), importing.describe(arn)["ImportStatus"]) == ("ACTIVE", "IN_PROGRESS")
    importing.desk("DeleteTable", TableName="copy")
    importing.desk.wait(30)
    done = importing.describe(arn)
    assert (done["ImportStatus"], done["ImportedItemCount"]) == ("COMPLETED", 1)


def test_import_counters(importing: Importing) -> None:
    importing.put("data/one", item("a"), item("b"))
    running = importing.start()
    importing.desk.wait(107)
    for shown in (running, importing.describe(running["ImportArn"])):
        assert shown["ImportStatus"] == "IN_PROGRESS"
        assert [shown[f"{name}Count"] for name in ("ProcessedItem", "ImportedItem", "Error")] == [0, 0, 0]
        assert not {"ProcessedSizeBytes", "EndTime"} & set(shown)
    importing.desk.wait(LONG)
    done = importing.describe(running["ImportArn"])
    assert done["ProcessedSizeBytes"] == len(json.dumps({"Item": item("a")})) * 2 + 1
    assert done["S3BucketSource"] == {"S3Bucket": BUCKET, "S3KeyPrefix": "data/", "S3BucketOwner": DESTINATION}
    assert done["InputCompressionType"] == "NONE"
    assert done["CloudWatchLogGroupArn"] == f"arn:aws:logs:{REGION}:{DESTINATION}:log-group:/aws-dynamodb/imports:*"
    assert done["TableCreationParameters"] == PARAMETERS


def test_import_of_nothing(importing: Importing) -> None:
    assert importing.counted("nothing/") == ("COMPLETED", 0, 0, 0)
    assert importing.items() == []


# Lines


def test_import_prefix_is_raw(importing: Importing) -> None:
    importing.put("data", item("a"))
    importing.put("data2/x", "no json")
    importing.put("data.bak", "no json")
    assert importing.counted("data") == ("ItemValidationError", 3, 1, 2)
    assert importing.items() == ["a"]


def test_import_compression_said(importing: Importing) -> None:
    for number, lines in enumerate([[item("a")], [item("b"), item("c")], []]):
        importing.put(f"data/{number}.json.gz", *lines, zipped=True)
    importing.put("data/empty")
    expected = {
        "GZIP": ("COMPLETED", 3, 3, 0),
        "NONE": ("ItemValidationError", 3, 0, 3),
        "": ("ItemValidationError", 3, 0, 3),
    }
    for compression, counters in expected.items():
        parameters = {**PARAMETERS, "TableName": f"copy-{compression}"}
        sent = {"InputCompressionType": compression} if compression else {}
        done = importing.counted(TableCreationParameters=parameters, **sent)
        assert done == counters
    importing.put("plain/one", item("a"))
    assert importing.counted("plain/", InputCompressionType="GZIP") == ("ItemValidationError", 1, 0, 1)


def test_import_reads_zstd(importing: Importing) -> None:
    frames = [imports.zstd.compress(json.dumps({"Item": item(name)}).encode() + b"\n") for name in "abc"]
    for name, body in (("one", frames[0]), ("several", frames[1] + frames[2]), ("cut", frames[0][:-1]), ("empty", b"")):
        importing.s3.put_object_as(importing.desk.caller, BUCKET, f"data/{name}", body)
    assert importing.counted(InputCompressionType="ZSTD") == ("ItemValidationError", 4, 3, 1)
    assert importing.items() == ["a", "b", "c"]
    importing.put("plain/one", item("a"))
    parameters = {**PARAMETERS, "TableName": "other"}
    done = importing.counted("plain/", InputCompressionType="ZSTD", TableCreationParameters=parameters)
    assert done == ("ItemValidationError", 1, 0, 1)


def test_import_unparseable_line(importing: Importing) -> None:
    good = [item(f"i{number}") for number in range(9)]
    importing.put("data/one", *good[:5], '{"Item": {', *good[5:])
    done = importing.run()
    assert (done["ImportStatus"], done["FailureCode"]) == ("FAILED", "ItemValidationError")
    assert done["FailureMessage"].startswith("Some of the items failed validation checks and were not imported. Please")
    assert (done["ProcessedItemCount"], done["ImportedItemCount"], done["ErrorCount"]) == (6, 5, 1)
    assert (importing.desk.status("copy"), importing.items()) == ("ACTIVE", [f"i{number}" for number in range(5)])
    (entry,) = importing.log(done)
    assert entry["errorMessages"] == ["Unexpected token. Remainder of the file will not be processed."]
    assert entry["itemS3Pointer"] == {"bucket": BUCKET, "key": "data/one"}
    importing.put("other/one", '{"itemCount":1}', item("x"))
    other = importing.run("other/", TableCreationParameters={**PARAMETERS, "TableName": "other"})
    (entry,) = importing.log(other)
    assert entry["errorMessages"] == [
        "Expected 'Item' top level container. Remainder of the file will not be processed."
    ]


def test_import_invalid_item(importing: Importing) -> None:
    importing.put("data/one", *(item(f"i{number}") for number in range(5)), {"no": {"S": "key"}}, item("a"), item("b"))
    done = importing.run()
    assert (done["ProcessedItemCount"], done["ImportedItemCount"], done["ErrorCount"]) == (8, 7, 1)
    assert len(importing.items()) == 7
    (entry,) = importing.log(done)
    assert entry["itemS3Pointer"]["itemIndex"] == 5
    assert "Missing the key pk" in entry["errorMessages"][0]
    importing.put("names/one", {"pk": {"S": "a"}, "": {"S": "x"}})
    parameters = {**PARAMETERS, "TableName": "names"}
    assert importing.counted("names/", TableCreationParameters=parameters) == ("ItemValidationError", 1, 0, 1)


def test_import_of_changed_object(importing: Importing) -> None:
    for number in range(4):
        importing.put(f"data/{number}", item(f"i{number}"), item(f"j{number}"))
    arn = importing.start()["ImportArn"]
    importing.desk.wait(60)
    importing.put("data/0", item("changed"))
    importing.s3.delete_as(importing.desk.caller, importing.bucket, "data/1")
    importing.desk.wait(LONG)
    done = importing.describe(arn)
    assert (done["ImportedItemCount"], done["ErrorCount"]) == (4, 2)
    assert {entry["errorMessages"][0] for entry in importing.log(done)} == {"ObjectModifiedInS3DuringImport"}


def test_import_error_log(importing: Importing) -> None:
    importing.put("data/one", "no json")
    done = importing.run()
    assert importing.log(done)[0]["importArn"] == done["ImportArn"]
    assert importing.log(done, "info")[0]["importArn"] == done["ImportArn"]


def test_import_ignores_blanks(importing: Importing) -> None:
    importing.put("data/one", "", item("a", v="1"), "", "  ", item("a", v="2"), "")
    importing.put("data/zero")
    assert importing.counted() == ("COMPLETED", 2, 2, 0)
    assert importing.desk("Scan", TableName="copy")["Items"] == [item("a", v="2")]


def test_import_keeps_every_byte(importing: Importing) -> None:
    every = {
        "pk": {"S": "ä\u2028"}, "b": {"B": "AAEC/w=="}, "bs": {"BS": ["AQ==", "AA=="]}, "ns": {"NS": ["3", "-1.5"]},
        "n": {"N": "12345678901234567890123456789012345678"}, "e": {"S": ""}, "l": {"L": [{"L": []}, {"NULL": True}]},
        "m": {"M": {"deep": {"M": {"yes": {"BOOL": False}}}}}, "big": {"S": "x" * 300_000},
    }  # fmt: skip
    importing.put("data/one", json.dumps({"Item": every}, ensure_ascii=False))
    assert importing.counted() == ("COMPLETED", 1, 1, 0)
    assert values.dump(importing.desk("Scan", TableName="copy")["Items"][0]) == values.dump(every)


def test_import_fills_indexes_before_active(importing: Importing) -> None:
    parameters = {
        **PARAMETERS,
        "AttributeDefinitions": [*PARAMETERS["AttributeDefinitions"], {"AttributeName": "color", "AttributeType": "S"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "by-color",
                "KeySchema": [{"AttributeName": "color", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    }
    importing.put("data/one", item("a", color="red"), item("b"), {**item("c"), "color": {"N": "1"}})
    assert importing.counted(TableCreationParameters=parameters) == ("ItemValidationError", 3, 2, 1)
    assert importing.desk("Scan", TableName="copy", IndexName="by-color")["Items"] == [item("a", color="red")]


def test_ion_import(importing: Importing) -> None:
    importing.put(
        "data/one", '$ion_1_0 {Item:{pk:"a",n:2d3,s:$dynamodb_SS::["x"]}}', "$ion_1_0 {Record:{}}", '{Item:{pk:"b"}}'
    )
    assert importing.counted(InputFormat="ION") == ("ItemValidationError", 2, 1, 1)
    expected = {"pk": {"S": "a"}, "n": {"N": "2000"}, "s": {"SS": ["x"]}}
    assert importing.desk("Scan", TableName="copy")["Items"] == [expected]


def test_csv_import(importing: Importing) -> None:
    importing.put("data/one", "pk|v", "a|1", 'b|"x|y"')
    options = {"Csv": {"Delimiter": "|"}}
    assert importing.counted(InputFormat="CSV", InputFormatOptions=options) == ("COMPLETED", 2, 2, 0)
    assert item("b", v="x|y") in importing.desk("Scan", TableName="copy")["Items"]


# Reading


def test_imports_outlive_tables(importing: Importing) -> None:
    arn = importing.run()["ImportArn"]
    importing.desk("DeleteTable", TableName="copy")
    importing.desk.wait(30)
    (shown,) = importing.desk("ListImports", TableArn=ARN)["ImportSummaryList"]
    assert (shown["ImportArn"], shown["ImportStatus"]) == (arn, "COMPLETED")
    for number in range(11):
        importing.start(TableCreationParameters={**PARAMETERS, "TableName": f"copy-{number}"})
    first = importing.desk("ListImports")
    assert len(first["ImportSummaryList"]) == 10
    # The gate holds the next request against botocore's model, which knows how such a token looks.
    assert re.fullmatch(r"([0-9a-f]{16}){7,64}", first["NextToken"])
    second = importing.desk("ListImports", NextToken=first["NextToken"])
    assert len(second["ImportSummaryList"]) == 2
    assert second["ImportSummaryList"][-1]["ImportArn"] == arn


def test_describe_import(importing: Importing, desk: Any) -> None:
    unknown = f"{ARN}/import/01700000000000-00000000"
    refused = importing.desk.refused
    rule, call = imports.FOUND_BY_ARN, "DescribeImport"
    refused(rule, "ImportNotFoundException", unknown, call, ImportArn=unknown)
    refused(rule, "ImportNotFoundException", "Invalid import arn", call, ImportArn=unknown.replace(REGION, "us-east-1"))
    refused(rule, "ValidationException", "Invalid Import ARN", call, ImportArn=ARN)
    one_letter = unknown.replace("table/copy", "table/c")
    refused(rule, "ValidationException", "Invalid Import ARN", call, ImportArn=one_letter)
    with pytest.raises(Exception, match="AccessDeniedException"):
        desk(call, ImportArn=unknown)


# Faults


def test_planned_failure_of_an_import(importing: Importing) -> None:
    importing.put("data/one", item("a"))
    importing.world.faults.add(operation="dynamodb.ImportTable", kind="job_failure", code="Sorry")
    assert importing.run()["FailureCode"] == "Sorry"
    assert importing.items() == ["a"]
    importing.world.faults.add(operation="dynamodb.ImportTable", kind="job_failure", values={"table": False})
    parameters = {**PARAMETERS, "TableName": "never"}
    assert importing.run(TableCreationParameters=parameters)["FailureCode"] == "InternalServerError"
    with pytest.raises(RuleBroken, match="ResourceNotFoundException"):
        importing.desk("DescribeTable", TableName="never")


def test_corrupted_object_is_an_error(importing: Importing) -> None:
    importing.put("data/one", *(item(f"i{number}") for number in range(50)), zipped=True)
    importing.world.faults.add(operation="s3.GetObject", kind="corrupt_object")
    done = importing.run(InputCompressionType="GZIP")
    assert done["FailureCode"] == "ItemValidationError"


def test_large_import_lets_others_work(importing: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(imports, "_STEP_LINES", 2)
    importing.put("data/one", *(item(f"i{number}") for number in range(9)))
    assert importing.counted() == ("COMPLETED", 9, 9, 0)


def test_export_is_imported_whole(importing: Importing, desk: Any) -> None:
    statement = {
        "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{SOURCE}:root"},
        "Action": ["s3:PutObject", "s3:PutObjectAcl"], "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }  # fmt: skip
    importing.bucket.policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    desk.table("original")
    specification = {"PointInTimeRecoveryEnabled": True}
    desk("UpdateContinuousBackups", TableName="original", PointInTimeRecoverySpecification=specification)
    for number in range(3):
        desk("PutItem", TableName="original", Item=item(f"i{number}", words="ä" * number))
    desk.wait(600)
    exported = desk(
        "ExportTableToPointInTime", TableArn=f"arn:aws:dynamodb:{REGION}:{SOURCE}:table/original", S3Bucket=BUCKET,
        S3BucketOwner=DESTINATION, S3Prefix="p",
    )["ExportDescription"]["ExportArn"]  # fmt: skip
    desk.wait(800)
    root = f"p/AWSDynamoDB/{exported.rpartition('/')[2]}/"
    assert importing.counted(f"{root}data/", InputCompressionType="GZIP") == ("COMPLETED", 3, 3, 0)
    assert importing.desk("Scan", TableName="copy")["Items"] == desk("Scan", TableName="original")["Items"]
    # The export's root holds four manifest objects, each an error, and all the data (IMPORT-020).
    parameters = {**PARAMETERS, "TableName": "from-root"}
    done = importing.counted(root, InputCompressionType="GZIP", TableCreationParameters=parameters)
    assert done == ("ItemValidationError", 7, 3, 4)
