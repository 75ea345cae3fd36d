# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control API."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from lab.client import running
from lab.services.kms import KmsService

SOURCE, DESTINATION = "111111111111", "222222222222"


def control(lab: Any, path: str, content: Any = None, method: str = "") -> Any:
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(
        f"{lab.server.endpoint_url}/_lab/{path}", body, method=method or ("GET" if body is None else "POST")
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def test_control_api(gate_lab: Any) -> None:
    assert control(gate_lab, "clock")["offset"] == 0
    assert control(gate_lab, "clock", {"advance": 60})["offset"] == 60
    assert control(gate_lab, "timings", {"export.full": 2})["export.full"] == 2
    assert control(gate_lab, "quotas", {"enforced": False}) == {"enforced": False, "adjusted": {}}
    gate_lab.world.define_quotas({"echo.tables": 1})
    adjusted = {SOURCE: {"echo.tables": 2}}
    assert control(gate_lab, "quotas", {"adjusted": adjusted}) == {"enforced": False, "adjusted": adjusted}
    assert [gate_lab.world.quota(account, "echo.tables") for account in (SOURCE, DESTINATION)] == [2, 1]
    planned = control(gate_lab, "faults", [{"operation": "dynamodb.Scan", "times": 2}, {"kind": "throttle"}])
    assert [(fault["operation"], fault["kind"], fault["times"]) for fault in planned] == [
        ("dynamodb.Scan", "error", 2),
        ("*", "throttle", 1),
    ]
    assert control(gate_lab, "faults", method="DELETE") == []
    gate_lab.client("dynamodb").describe_table(TableName="orders")
    requests = control(gate_lab, "requests?operation=DescribeTable&ok=true&entries=1")
    assert (requests["count"], requests["entries"][0]["service"], len(requests["summary"])) == (1, "dynamodb", 1)
    assert control(gate_lab, "requests", method="DELETE") == {"count": 0}
    state = control(gate_lab, "state", {"timings": {"export.full": 5}, "advance": 1, "quotas": True})
    assert (state["timings"]["export.full"], state["quotas"], state["calls"]) == (5, True, 0)
    assert {account["id"] for account in state["accounts"]} == {SOURCE, DESTINATION}


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("clock", {"advance": -1}, 400),
        ("clock", {}, 400),
        ("timings", {"unheard": 1}, 400),
        ("faults", {"kind": "odd"}, 400),
        ("faults", {"often": 1}, 400),
        ("faults", {"kind": "late"}, 400),
        ("faults", {"held": 1}, 400),
        ("faults/release", {}, 400),
        ("quotas", {"adjusted": {SOURCE: {"unheard": 1}}}, 400),
        ("quotas", {"often": 1}, 400),
        ("state", {"odd": 1}, 400),
        ("nothing", {}, 404),
    ],
)
def test_control_api_refuses(gate_lab: Any, path: str, content: Any, status: int) -> None:
    with pytest.raises(HTTPError) as failure:
        control(gate_lab, path, content)
    assert failure.value.code == status
    assert json.load(failure.value)["error"]


def test_control_policies_are_set_for_an_account(gate_lab: Any) -> None:
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "dynamodb:Scan", "Resource": "*"}]}
    control(gate_lab, "control_policies", {SOURCE: [deny]})
    with pytest.raises(ClientError) as failure:
        gate_lab.client("dynamodb").scan(TableName="orders")
    assert failure.value.response["Error"]["Message"].endswith(
        "is not authorized to perform: dynamodb:Scan on resource: "
        f"arn:aws:dynamodb:eu-west-1:{SOURCE}:table/orders with an explicit deny in a service control policy"
    )
    gate_lab.client("dynamodb", gate_lab.destination).scan(TableName="orders")
    control(gate_lab, "control_policies", {SOURCE: []})
    gate_lab.client("dynamodb").scan(TableName="orders")
    with pytest.raises(HTTPError, match="400"):
        control(gate_lab, "control_policies", {SOURCE: [{"Statement": 5}]})


def test_resource_control_policies_by_service() -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": ["dynamodb:*", "kms:*"], "Resource": "*"}
    perimeter = {"Version": "2012-10-17", "Statement": [deny]}
    words = "with an explicit deny in a resource control policy"
    with running(scale=0.001) as lab:
        keys, tables = lab.client("kms"), lab.client("dynamodb")
        key = keys.create_key()["KeyMetadata"]["KeyId"]
        lab.set_resource_control_policies(SOURCE, perimeter)
        with pytest.raises(ClientError, match=f"kms:Encrypt .* {words}"):
            keys.encrypt(KeyId=key, Plaintext=b"x")
        managed = lab.world.part(KmsService).managed_key(SOURCE, "eu-west-1", "s3").id
        keys.describe_key(KeyId=managed)  # one of AWS's own is free
        keys.list_keys()
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            tables.describe_table(TableName="orders")
        lab.client("kms", "destination").create_key()
        lab.choose_behaviours({"organizations.resource_control_of": "s3 sts kms logs dynamodb"})
        with pytest.raises(ClientError, match=words):
            tables.describe_table(TableName="orders")
        lab.set_resource_control_policies(SOURCE)
        keys.encrypt(KeyId=key, Plaintext=b"x")
        allow = {"Version": "2012-10-17", "Statement": [{**deny, "Effect": "Allow"}]}
        for wrong, flaw in (({"Statement": 5}, "Syntax errors"), (allow, "has no Allow")):
            with pytest.raises(ValueError, match=flaw):
                lab.set_resource_control_policies(SOURCE, wrong)


def test_request_tags_reach_policies(gate_lab: Any, refused: Any) -> None:
    tagged = {
        "Effect": "Allow",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:RequestTag/a": "b"}},
    }
    client = gate_lab.client("dynamodb", gate_lab.user("tagger", tagged))
    arn = f"arn:aws:dynamodb:eu-west-1:{SOURCE}:table/orders"
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    for value in ("c", ""):
        call = {"ResourceArn": arn, "Tags": [{"Key": "a", "Value": value}]}
        assert refused(client.tag_resource, **call) == ("AccessDeniedException", 400)
