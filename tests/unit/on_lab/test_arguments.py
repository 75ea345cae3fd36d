# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tests' quick check of arguments refuses what botocore's refuses, in its words."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError
from botocore.validate import ParamValidator

from lab import protocol
from tests.unit.on_lab.arguments import check_arguments, surely_fits

ITEM = {"id": {"S": "1"}, "deep": {"M": {"list": {"L": [{"N": "1"}, {"NULL": True}, {"B": b"1"}, {"SS": ["1"]}]}}}}
PUT: dict[str, Any] = {"TableName": "orders", "Item": ITEM}
EXPORT: dict[str, Any] = {"TableArn": "arn", "S3Bucket": "staging"}


def put(**values: Any) -> dict[str, Any]:
    return {**PUT, "Item": {**ITEM, **values}}


@pytest.mark.parametrize(
    ("service", "name", "arguments"),
    [
        ("dynamodb", "PutItem", PUT),
        ("dynamodb", "Scan", {"TableName": "orders", "Limit": 1, "ConsistentRead": True}),
        ("dynamodb", "BatchWriteItem", {"RequestItems": {"orders": [{"PutRequest": {"Item": ITEM}}]}}),
        ("s3", "PutObject", {"Bucket": "staging", "Key": "one", "Body": b"1"}),
        ("backup", "ListCopyJobs", {}),
    ],
)
def test_right_arguments_fit_without_botocore(service: str, name: str, arguments: dict[str, Any]) -> None:
    model = protocol.service_model(service)
    assert model is not None
    shape = model.operation_model(name).input_shape
    assert shape is not None
    assert surely_fits(service, shape)(arguments)
    assert not ParamValidator().validate(arguments, shape).has_errors()


@pytest.mark.parametrize(
    ("service", "name", "arguments"),
    [
        ("dynamodb", "PutItem", {"Item": ITEM}),
        ("dynamodb", "PutItem", {**PUT, "TableName": ""}),
        ("dynamodb", "PutItem", {**PUT, "TableName": None}),
        ("dynamodb", "PutItem", {**PUT, "Table": "orders"}),
        ("dynamodb", "PutItem", put(id="1")),
        ("dynamodb", "PutItem", put(id={"S": 1})),
        ("dynamodb", "PutItem", put(id={"N": 1})),
        ("dynamodb", "PutItem", put(id={"B": 1})),
        ("dynamodb", "PutItem", put(id={"X": "1"})),
        ("dynamodb", "PutItem", put(id={"NULL": "true"})),
        ("dynamodb", "PutItem", put(id={"SS": "1"})),
        ("dynamodb", "PutItem", put(id={"SS": [1]})),
        ("dynamodb", "PutItem", put(id={"L": [{"M": {"one": {"S": None}}}]})),
        ("dynamodb", "PutItem", put(id={"M": {1: {"S": "1"}}})),
        ("dynamodb", "BatchWriteItem", {"RequestItems": {"orders": []}}),
        ("dynamodb", "BatchWriteItem", {"RequestItems": [ITEM]}),
        ("dynamodb", "Scan", {"TableName": "orders", "Limit": 0}),
        ("dynamodb", "Scan", {"TableName": "orders", "Limit": "1"}),
        ("dynamodb", "Scan", {"TableName": "orders", "Limit": 1.0}),
        ("dynamodb", "Scan", {"TableName": "orders", "ConsistentRead": 1}),
        ("dynamodb", "ExportTableToPointInTime", {**EXPORT, "ExportTime": "no time"}),
        ("s3", "PutObject", {"Bucket": "staging", "Key": "", "Body": b"1"}),
        ("s3", "PutObject", {"Bucket": "staging", "Key": "one", "Body": 1}),
    ],
)
def test_wrong_arguments_are_refused_as_botocore_does(service: str, name: str, arguments: dict[str, Any]) -> None:
    model = protocol.service_model(service)
    assert model is not None
    operation = model.operation_model(name)
    report = ParamValidator().validate(arguments, operation.input_shape)
    assert report.has_errors()
    with pytest.raises(ParamValidationError) as refused:
        check_arguments(arguments, operation)
    assert refused.value.kwargs["report"] == report.generate_report()


@pytest.mark.parametrize(
    ("service", "name", "arguments"),
    [
        ("dynamodb", "ExportTableToPointInTime", {**EXPORT, "ExportTime": datetime.now(UTC)}),
        ("s3", "PutObject", {"Bucket": "staging", "Key": "one", "Body": io.BytesIO(b"1")}),
    ],
)
def test_what_only_botocore_can_tell_is_left_to_it(service: str, name: str, arguments: dict[str, Any]) -> None:
    model = protocol.service_model(service)
    assert model is not None
    check_arguments(arguments, model.operation_model(name))
