# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags of tables."""

from __future__ import annotations

import pytest

from lab.dynamodb import tags as rules

INVALID, LIMIT = "ValidationException", "LimitExceededException"
ON_DEMAND = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def pairs(**tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@pytest.fixture
def arn(desk):
    return desk.table()["TableArn"]


def read(desk, arn):
    return {tag["Key"]: tag["Value"] for tag in desk("ListTagsOfResource", ResourceArn=arn)["Tags"]}


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        (pairs(**{"AWS:x": "v"}), "Tag Key cannot be prefixed with aws:, Key: AWS:x"),
        (pairs(**{"k" * 129: "v"}), "The Tag Key provided is invalid"),
        (pairs(**{"a#b": "v"}), "The Tag Key provided is invalid, Key: a#b"),
        (pairs(k="v" * 257), "The Tag Value provided is invalid"),
        ([*pairs(k="v"), *pairs(k="w")], "Duplicate Tag Key found k"),
        (pairs(**{f"k{number}": "v" for number in range(51)}), "Number of Tags exceed the current limit"),
    ],
)
def test_tags_checked_whole(desk, arn, tags, text):
    good = pairs(good="yes")
    desk.refused(rules.CHECKED_WHOLE, INVALID, text, "TagResource", ResourceArn=arn, Tags=[*good, *tags])
    desk.wait(5)
    assert read(desk, arn) == {}
    with pytest.raises(Exception, match=r"Tag") as caught:
        desk.table("other", Tags=tags)
    assert caught.value.rule == rules.CHECKED_WHOLE.name
    assert desk("ListTables")["TableNames"] == ["tbl"]


def test_no_tags_at_all(desk, arn):
    text = "Atleast one Tag needs to be provided"
    desk.refused(rules.CHECKED_WHOLE, INVALID, text, "TagResource", ResourceArn=arn, Tags=[])
    desk.table("other", Tags=[])
    text = "Atleast one Tag Key needs to be provided"
    desk.refused(rules.CHECKED_WHOLE, INVALID, text, "UntagResource", ResourceArn=arn, TagKeys=[])
    text, keys = "Number of Tags exceed the current limit", [f"k{number}" for number in range(51)]
    desk.refused(rules.CHECKED_WHOLE, INVALID, text, "UntagResource", ResourceArn=arn, TagKeys=keys)
    text = "cannot be prefixed with aws:"
    desk.refused(rules.CHECKED_WHOLE, INVALID, text, "UntagResource", ResourceArn=arn, TagKeys=["aws:x"])


def test_tags_read_late(desk, arn):
    desk("TagResource", ResourceArn=arn, Tags=pairs(a="1", grün=""))
    assert read(desk, arn) == {}
    desk.wait(2)
    assert read(desk, arn) == {"a": "1", "grün": ""}
    desk("UntagResource", ResourceArn=arn, TagKeys=["a"])
    assert read(desk, arn) == {"a": "1", "grün": ""}
    desk.wait(2)
    assert read(desk, arn) == {"grün": ""}
    assert read(desk, desk.table("new", Tags=pairs(born="with"))["TableArn"]) == {"born": "with"}


def test_tags_write_lock(desk, arn):
    desk("TagResource", ResourceArn=arn, Tags=pairs(a="1"))
    text = "Subscriber limit exceeded: Table tags are being updated: tbl"
    desk.refused(rules.LOCKED, LIMIT, text, "TagResource", ResourceArn=arn, Tags=pairs(b="1"))
    desk.refused(rules.LOCKED, LIMIT, text, "UntagResource", ResourceArn=arn, TagKeys=["none"])
    desk("TagResource", ResourceArn=arn, Tags=pairs(a="1"))
    desk("TagResource", ResourceArn=arn, Tags=pairs(a="1", b="2"))
    desk.wait(2)
    assert read(desk, arn) == {"a": "1", "b": "2"}
    desk("TagResource", ResourceArn=arn, Tags=pairs(a="1"))  # a no-op takes no lock
    desk("UntagResource", ResourceArn=arn, TagKeys=["a"])


def test_tags_while_creating(desk):
    desk.world.timings.set("table.creating", 8)
    desk("CreateTable", TableName="tbl", **ON_DEMAND)
    arn = desk.describe()["TableArn"]
    desk.wait(6)
    text = "Table is being created: tbl"
    in_use = "ResourceInUseException"
    desk.refused(rules.CREATING, in_use, text, "TagResource", ResourceArn=arn, Tags=pairs(a="1"))
    desk("UntagResource", ResourceArn=arn, TagKeys=["a"])
    assert read(desk, arn) == {}
    desk.wait(3)
    desk("TagResource", ResourceArn=arn, Tags=pairs(a="1"))


def test_tags_in_pages(desk):
    arn = desk.table(Tags=pairs(**{f"k{number:02}": "v" for number in range(50)}))["TableArn"]
    answer = desk("ListTagsOfResource", ResourceArn=arn)
    assert (len(answer["Tags"]), "NextToken" in answer) == (50, False)


def test_tags_in_smaller_pages(desk):
    desk.world.behaviours.choose("dynamodb.tags_on_a_page", "10")
    arn = desk.table(Tags=pairs(**{f"k{number:02}": "v" for number in range(13)}))["TableArn"]
    first = desk("ListTagsOfResource", ResourceArn=arn)
    second = desk("ListTagsOfResource", ResourceArn=arn, NextToken=first["NextToken"])
    assert (len(first["Tags"]), len(second["Tags"]), "NextToken" in second) == (10, 3, False)


def calls(arn):
    return {
        "ListTagsOfResource": {"ResourceArn": arn},
        "TagResource": {"ResourceArn": arn, "Tags": pairs(a="1")},
        "UntagResource": {"ResourceArn": arn, "TagKeys": ["a"]},
    }


def test_tags_arn(desk, arn):
    elsewhere = arn.replace("eu-west-1", "us-east-1")
    for wrong, text in (
        ("tbl", "One or more parameter values were invalid: ARNs must start with 'arn:': tbl"),
        (elsewhere, f"Invalid TableArn: Invalid ResourceArn provided as input {elsewhere}"),
        (f"{arn}/index/idx", f"only table or stream is accepted. Provided resource arn: {arn}/index/idx"),
    ):
        for call, params in calls(wrong).items():
            desk.refused(rules.ARN, INVALID, text, call, **params)


def test_tags_of_another_account(desk, arn, other_desk):
    for call, params in calls(arn).items():
        text = other_desk.refused(rules.FOREIGN, "AccessDeniedException", "", call, **params)
        assert text == "Access is denied"
    for call, params in calls(arn.replace("eu-west-1", "us-east-1")).items():  # wherever it is
        other_desk.refused(rules.FOREIGN, "AccessDeniedException", "", call, **params)


def test_tags_of_a_stream(desk):
    stream = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    table = desk.table(StreamSpecification=stream, Tags=pairs(of="table"))
    arn, stream_arn = table["TableArn"], table["LatestStreamArn"]
    desk("TagResource", ResourceArn=stream_arn, Tags=pairs(of="stream"))
    desk.wait(3)
    assert (read(desk, arn), read(desk, stream_arn)) == ({"of": "table"}, {"of": "stream"})
    desk("UpdateTable", TableName="tbl", StreamSpecification={"StreamEnabled": False})
    desk.wait(10)
    for call, params in calls(stream_arn).items():
        desk.refused(rules.STREAM, "ResourceNotFoundException", f"ResourceArn: {stream_arn} not found", call, **params)


def test_tags_size(desk, arn):
    most = {f"{number:02}": "v" * 254 for number in range(40)}
    desk("TagResource", ResourceArn=arn, Tags=pairs(**most))
    desk.wait(3)
    text = "Tag set size 10242 bytes is above max size limit of 10240 bytes"
    desk.refused(rules.SIZE, INVALID, text, "TagResource", ResourceArn=arn, Tags=pairs(k="v"))
    desk("TagResource", ResourceArn=arn, Tags=pairs(**{"00": ""}))


def test_tags_token_ignored(desk, arn):
    desk("TagResource", ResourceArn=arn, Tags=pairs(a="1"))
    desk.wait(3)
    assert desk("ListTagsOfResource", ResourceArn=arn, NextToken="made up")["Tags"] == pairs(a="1")


def test_tags_while_deleting(desk, arn):
    desk("TagResource", ResourceArn=arn, Tags=pairs(a="1"))
    desk.wait(3)
    desk("DeleteTable", TableName="tbl")
    desk("TagResource", ResourceArn=arn, Tags=pairs(a="1"))
    text = "Table is being deleted: tbl"
    desk.refused(rules.DELETING, "ResourceInUseException", text, "TagResource", ResourceArn=arn, Tags=pairs(a="2"))
    assert read(desk, arn) == {"a": "1"}
