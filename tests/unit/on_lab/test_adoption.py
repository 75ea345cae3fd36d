# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files for infrastructure as code, of every table of the demo as it stands: read by the parser of Terraform's language
and by the linter of CloudFormation's templates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cfnlint.api
import cfnlint.config
import hcl2
import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.report import cloudformation, terraform
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.adoption import (
    TableAsItStands,
    adopt,
    read_tables,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.setting import Settings
from demo.seed import seed
from lab.client import RunningLab, running

ADDRESS = r"[A-Za-z_][A-Za-z0-9_-]*"


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    """The demo's source account, whose tables have every setting."""
    with running(scale=0.001, timings={"iam.propagation": 0}) as found:
        seed(found, without_spark=True)
        yield found


@pytest.fixture(scope="module")
def tables(lab: RunningLab) -> list[TableAsItStands]:
    """The demo's tables as they stand."""
    account = of(lab)
    names = lab.client("dynamodb", "source").list_tables()["TableNames"]
    return read_tables(account, names)


def of(lab: RunningLab) -> Account:
    """The account whose tables are adopted."""
    keys = lab.landscape["accounts"]["source"]
    told = {name: keys[name] for name in ("access_key", "secret_key")}
    return Account(
        AccountSpec.from_mapping(
            "destination", {**told, "region": lab.landscape["region"], "endpoint_url": lab.endpoint_url}
        )
    )


def imports(text: str) -> list[tuple[str, str]]:
    """The address and the id of each import block, by the parser."""
    found = hcl2.loads(text)
    return [(plain(block["to"]), plain(block["id"])) for block in found.get("import", [])]


def plain(value: Any) -> str:
    """A value of the parser without the quotes and signs that it keeps."""
    text = str(value).removeprefix("${").removesuffix("}")
    return text[1:-1] if text[:1] == '"' == text[-1:] else text


def findings(template: str, folder: Path) -> list[str]:
    """What the linter says of a template."""
    path = folder / "template.json"
    path.write_text(template)
    return [str(match) for match in cfnlint.api.lint_file(path)]


def test_every_table_of_the_demo_can_be_imported_by_terraform(tables: list[TableAsItStands]) -> None:
    settings = [each.settings for each in tables if each.settings]
    assert len(settings) == len(tables) > 5
    found = imports(terraform.import_blocks(settings, {each.name: each.policies for each in tables}))
    assert len({address for address, _id in found}) == len(found)
    ids = {(address.partition(".")[0], id_) for address, id_ in found}
    assert {id_ for kind, id_ in ids if kind == "aws_dynamodb_table"} == {each.name for each in tables}
    # As facts/iac.md has the form of each.
    scaled = [each for each in tables if each.settings and each.settings.get("autoscaling")]
    assert scaled and any(each.policies for each in scaled)
    for each in scaled:
        targets = [id_ for kind, id_ in ids if kind == "aws_appautoscaling_target" and f"/{each.name}/" in id_]
        assert f"dynamodb/table/{each.name}/dynamodb:table:ReadCapacityUnits" in targets
        policies = [id_ for kind, id_ in ids if kind == "aws_appautoscaling_policy" and f"/{each.name}/" in id_]
        assert len(policies) == len(each.policies)
    assert {kind for kind, _id in ids} >= {
        "aws_dynamodb_table",
        "aws_appautoscaling_target",
        "aws_appautoscaling_policy",
    }


def test_every_table_of_the_demo_passes_the_linter_of_cloudformation(
    tables: list[TableAsItStands], tmp_path: Path
) -> None:
    files = cloudformation.files([each.settings for each in tables if each.settings])
    assert findings(files["cloudformation-template.json"], tmp_path) == []
    resources = json.loads(files["cloudformation-template.json"])["Resources"]
    listed = json.loads(files["resources-to-import.json"])
    assert {each["LogicalResourceId"] for each in listed} == set(resources)
    assert sorted(each["ResourceIdentifier"]["TableName"] for each in listed) == sorted(each.name for each in tables)
    assert all(each["DeletionPolicy"] == each["UpdateReplacePolicy"] == "Retain" for each in resources.values())
    assert all(name.isalnum() for name in resources)


def table(name: str, **values: Any) -> Settings:
    """A table called ``name`` with every setting, as read."""
    raw = {
        "TableName": name,
        "TableArn": f"arn:aws:dynamodb:eu-west-1:222222222222:table/{name}",
        "AttributeDefinitions": [{"AttributeName": each, "AttributeType": "S"} for each in ("id", "at")],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "LatestStreamArn": f"arn:aws:dynamodb:eu-west-1:222222222222:table/{name}/stream/2026-10-08T12:00:00.000",
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY},
        "OnDemandThroughput": {"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": -1},
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "by_at",
                "IndexArn": "x",
                "IndexStatus": "ACTIVE",
                "KeySchema": [{"AttributeName": "at", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
            }
        ],
        "DeletionProtectionEnabled": True,
    }  # fmt: skip
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
        "Action": "dynamodb:GetItem",
        "Resource": raw["TableArn"],
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return Settings(
        TableDefinition.from_dict(raw),
        {
            "tags": {"team": "shop"},
            "encryption": {"kind": "customer", "key_arn": KEY},
            "contributor_insights": {"": "THROTTLED_KEYS", "by_at": "ACCESSED_AND_THROTTLED_KEYS"},
            "kinesis_destination": {"stream": STREAM, "precision": "MICROSECOND"},
            "point_in_time_recovery": {"days": 7},
            "time_to_live": "expires",
            "resource_policy": policy,
            "stream_policy": {"Version": "2012-10-17", "Statement": [{**statement, "Action": "dynamodb:GetRecords"}]},
            **values,
        },
        {},
    )


KEY = "arn:aws:kms:eu-west-1:222222222222:key/00000000-0000-0000-0000-000000000000"
STREAM = "arn:aws:kinesis:eu-west-1:222222222222:stream/all"


def test_every_setting_has_its_import_block() -> None:
    arn = "arn:aws:dynamodb:eu-west-1:222222222222:table/orders"
    assert imports(terraform.import_blocks([table("orders")], {})) == [
        ("aws_dynamodb_table.orders", "orders"),
        ("aws_dynamodb_resource_policy.orders", arn),
        ("aws_dynamodb_resource_policy.orders_stream", f"{arn}/stream/2026-10-08T12:00:00.000"),
        ("aws_dynamodb_contributor_insights.orders", "name:orders/index:/222222222222"),
        ("aws_dynamodb_contributor_insights.orders_by_at", "name:orders/index:by_at/222222222222"),
        ("aws_dynamodb_kinesis_streaming_destination.orders", f"orders,{STREAM}"),
    ]


def test_addresses_are_valid_and_each_there_once() -> None:
    names = ["a.b", "a_b", "a-b", "1st", "_1st", "9.9", "a.b_stream"]
    found = imports(
        terraform.import_blocks([table(name) for name in names], {"a.b": ['table/a.b/d:t:R/${x} "q" %{y}']})
    )
    addresses = [address for address, _id in found]
    assert len(set(addresses)) == len(addresses)
    assert [address for address in addresses if address.startswith("aws_dynamodb_table.")] == [
        f"aws_dynamodb_table.{name}" for name in ("a_b", "a_b_2", "a-b", "_1st", "_1st_2", "_9_9", "a_b_stream")
    ]
    text = terraform.import_blocks([table("a")], {"a": ['table/a/d:t:R/${x} "q" %{y}']})
    assert 'id = "dynamodb/table/a/d:t:R/$${x} \\"q\\" %%{y}"' in text


def test_every_setting_passes_the_linter(tmp_path: Path) -> None:
    names = ["orders", "Orders", "or.ders", "1st", "---"]
    files = cloudformation.files([table(name) for name in names])
    template = files["cloudformation-template.json"]
    assert findings(template, tmp_path) == []
    resources = json.loads(template)["Resources"]
    assert list(resources) == ["Orders", "OrdersNr2", "OrDers", "Table1st", "Table"]
    properties = resources["Orders"]["Properties"]
    assert properties["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}
    assert properties["OnDemandThroughput"] == {"MaxReadRequestUnits": 100}
    assert properties["GlobalSecondaryIndexes"][0]["ContributorInsightsSpecification"]["Enabled"]
    assert properties["StreamSpecification"]["ResourcePolicy"]


def test_the_linter_finds_what_is_wrong(tmp_path: Path) -> None:
    files = cloudformation.files([table("orders")])
    wrong = files["cloudformation-template.json"].replace('"NEW_IMAGE"', '"NEW_PICTURE"')
    assert findings(wrong, tmp_path)


def test_many_tables_have_several_templates_each_small_enough() -> None:
    files = cloudformation.files([table(f"orders-{number:04d}") for number in range(450)])
    assert list(files) == [
        "cloudformation-template.json", "resources-to-import.json",
        "cloudformation-template-2.json", "resources-to-import-2.json",
        "cloudformation-template-3.json", "resources-to-import-3.json",
    ]  # fmt: skip
    assert max(len(text) for text in files.values()) < 1_000_000
    lines = cloudformation.commands(files)
    assert len(lines) == 6 and "--template-url" in lines[0] and "STACK-3" in lines[4]
    assert (
        "--template-body file://cloudformation-template.json"
        in cloudformation.commands(cloudformation.files([table("orders")]))[0]
    )


def test_what_is_in_no_file_is_told(lab: RunningLab) -> None:
    unread = Settings(table("orders").definition, {"autoscaling": {"table/x": {}}}, {"tags": "it could not be read"})
    tables = [
        TableAsItStands("orders", unread),
        TableAsItStands("gone", problem="gone: it is in no file. There is no such table."),
    ]
    files, told = adopt(of(lab), tables, ["terraform", "cloudformation"])
    assert sorted(name.rpartition("/")[2] for name in files) == [
        "cloudformation-template.json", "import.tf", "resources-to-import.json",
    ]  # fmt: skip
    assert told["tables"] == 1 and [way["name"] for way in told["ways"]] == ["Terraform and OpenTofu", "CloudFormation"]
    assert told["left"][0].startswith("gone:") and told["left"][1].startswith("orders: tags is in no file")
    assert "auto scaling" in told["left"][2]
    (gone,) = read_tables(of(lab), ["no-such-table"])
    assert gone.settings is None and "no-such-table: it is in no file." in gone.problem
    assert adopt(of(lab), [gone], ["terraform"])[0] == {}
