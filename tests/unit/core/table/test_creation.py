# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from botocore.session import Session
from botocore.validate import validate_parameters
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    KeyNotUsable,
    LocalSecondaryIndexes,
    MissingKeyMapping,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.creation import (
    creation_parameters,
    import_parameters,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.encryption import (
    Encryption,
    map_encryption,
    read_encryption,
    resolve_key_map,
)

KEY = "arn:aws:kms:eu-west-1:111111111111:key/1234"
THERE = "arn:aws:kms:eu-west-1:222222222222:key/5678"
SHAPE = (
    Session()
    .get_service_model("dynamodb")
    .operation_model("ImportTable")
    .input_shape.members["TableCreationParameters"]
)

names = st.text("abcdefgh", min_size=1, max_size=6)
throughput = st.fixed_dictionaries({"ReadCapacityUnits": st.integers(1, 9), "WriteCapacityUnits": st.integers(1, 9)})
maxima = st.fixed_dictionaries({}, optional={"MaxReadRequestUnits": st.sampled_from([-1, 5, 70])})
projections = st.sampled_from(
    [
        {"ProjectionType": "ALL"},
        {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]},
        {"ProjectionType": "KEYS_ONLY"},
    ]
)


@st.composite
def definitions(draw):
    """Tables as DescribeTable shows them, with or without indexes, provisioned or on-demand."""
    provisioned = draw(st.booleans())
    indexes = draw(st.lists(st.tuples(names, names, projections), max_size=3, unique_by=lambda index: index[0]))
    attributes = {"pk"} | {key for _, key, _ in indexes}
    zero = {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}

    def capacity():
        return draw(throughput) if provisioned else zero

    return {
        "TableName": "orders",
        "TableArn": "arn:aws:dynamodb:eu-west-1:111111111111:table/orders",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in sorted(attributes)],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "BillingModeSummary": {} if provisioned else {"BillingMode": "PAY_PER_REQUEST"},
        "ProvisionedThroughput": capacity(),
        "OnDemandThroughput": {} if provisioned else draw(maxima),
        "SSEDescription": draw(st.sampled_from([{}, {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY}])),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": f"by_{name}",
                "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
                "Projection": projection,
                "IndexStatus": "ACTIVE",
                "IndexSizeBytes": 0,
                "ItemCount": 0,
                "IndexArn": "arn",
                "ProvisionedThroughput": capacity(),
                "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"},
            }
            for name, key, projection in indexes
        ],
    }


@given(definitions())
def test_parameters_are_what_the_api_takes_and_hold_exactly_the_used_attributes(described):
    parameters = import_parameters(TableDefinition.from_dict(described), "copy", {KEY: THERE})
    validate_parameters(parameters, SHAPE)
    used = {key["AttributeName"] for key in parameters["KeySchema"]}
    for index in parameters.get("GlobalSecondaryIndexes", []):
        used |= {key["AttributeName"] for key in index["KeySchema"]}
        assert set(index) <= {"IndexName", "KeySchema", "Projection", "ProvisionedThroughput", "OnDemandThroughput"}
        assert ("ProvisionedThroughput" in index) == (parameters["BillingMode"] == "PROVISIONED")
    assert {entry["AttributeName"] for entry in parameters["AttributeDefinitions"]} == used
    assert ("ProvisionedThroughput" in parameters) == (parameters["BillingMode"] == "PROVISIONED")
    assert -1 not in parameters.get("OnDemandThroughput", {}).values()
    assert KEY not in str(parameters)


def definition(**members):
    return TableDefinition.from_dict(
        {
            "TableName": "orders",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            **members,
        }
    )


ENCRYPTED = definition(SSEDescription={"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY})


def test_a_customer_key_without_mapping_is_refused_and_named():
    with pytest.raises(MissingKeyMapping, match=KEY) as refused:
        import_parameters(ENCRYPTED, "copy", {})
    assert str(refused.value).startswith("orders: ")


def test_the_aws_managed_key_becomes_the_destinations():
    parameters = import_parameters(ENCRYPTED, "copy", {}, encryption=Encryption("aws_managed", KEY))
    assert parameters["SSESpecification"] == {"Enabled": True, "SSEType": "KMS"}


def test_local_secondary_indexes_are_refused_by_name():
    index = {"IndexName": "by_date", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}]}
    with pytest.raises(LocalSecondaryIndexes, match="by_date"):
        import_parameters(definition(LocalSecondaryIndexes=[index]), "copy", {})


@pytest.mark.parametrize(
    ("provisioned", "units", "created"),
    [
        (None, (20000, 4000), {"ReadUnitsPerSecond": 20000}),
        (None, (12000, 4000), None),
        (5, (5, 5), None),
        (5, (200, 5), {"ReadUnitsPerSecond": 200}),
        (5, (12000, 4000), None),  # it was on demand once
        (5, (12000, 5000), {"WriteUnitsPerSecond": 5000}),
    ],
)
def test_a13_warm_throughput_is_created_where_it_is_above_what_aws_gives(provisioned, units, created):
    capacity = {"ReadCapacityUnits": provisioned, "WriteCapacityUnits": provisioned} if provisioned else None
    part = {
        "WarmThroughput": dict(zip(("ReadUnitsPerSecond", "WriteUnitsPerSecond"), units, strict=True)),
        **({"ProvisionedThroughput": capacity} if capacity else {}),
    }
    index = {
        "IndexName": "i",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
        **part,
    }
    mode = {"BillingModeSummary": {"BillingMode": "PROVISIONED" if provisioned else "PAY_PER_REQUEST"}}
    table = definition(GlobalSecondaryIndexes=[index], **part, **mode)
    for warm in (True, False):
        made = creation_parameters(table, "copy", {}, tags={}, warm_throughput=warm)
        assert made.get("WarmThroughput") == (created if warm else None)
        assert made["GlobalSecondaryIndexes"][0].get("WarmThroughput") == (created if warm else None)


def test_a13_an_import_is_never_asked_for_warm_throughput():
    """ImportTable refuses it on indexes and has no member for the table's (aws.md B1)."""
    warm = {"WarmThroughput": {"ReadUnitsPerSecond": 20000, "WriteUnitsPerSecond": 9000}}
    index = {
        "IndexName": "i",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    parameters = import_parameters(definition(GlobalSecondaryIndexes=[{**index, **warm}], **warm), "copy", {})
    assert "WarmThroughput" not in str(parameters)


def test_vector_indexes_come_along_without_their_state():
    vector = {
        "IndexName": "vectors",
        "VectorAttribute": {"AttributeName": "embedding"},
        "Projection": {"ProjectionType": "ALL"},
        "Dimensions": 3,
        "DistanceFunction": "COSINE",
        "IndexStatus": "ACTIVE",
        "ItemCount": 4,
    }
    parameters = import_parameters(definition(VectorIndexes=[vector]), "copy", {})
    validate_parameters(parameters, SHAPE)
    assert "IndexStatus" not in parameters["VectorIndexes"][0]


@pytest.mark.parametrize(
    ("source", "kms_key_map", "wanted"),
    [
        (Encryption(), {}, Encryption()),
        (Encryption("aws_managed", KEY), {}, Encryption("aws_managed")),
        (Encryption("aws_managed", KEY), {"alias/aws/dynamodb": THERE}, Encryption("customer", THERE)),
        (Encryption("customer", KEY), {KEY: THERE}, Encryption("customer", THERE)),
        (Encryption("customer", KEY), {"1234": THERE}, Encryption("customer", THERE)),
        (Encryption("customer", KEY), {KEY: "alias/aws/dynamodb"}, Encryption("aws_managed")),
        (Encryption("unknown", KEY), {KEY: THERE}, Encryption("customer", THERE)),
    ],
)
def test_key_mapping(source, kms_key_map, wanted):
    assert map_encryption(source, kms_key_map) == wanted


class Kms:
    region = "eu-west-1"
    ask = Account.ask

    def __init__(self, **metadata):
        self.metadata = metadata

    def client(self, service, *, retries=0):
        assert service == "kms"
        return self

    def describe_key(self, KeyId):
        if "error" in self.metadata:
            raise sdk.ClientError({"Error": {"Code": self.metadata["error"], "Message": "no"}}, "DescribeKey")
        return {"KeyMetadata": {"Arn": THERE, "KeyManager": "CUSTOMER", "KeyState": "Enabled", **self.metadata}}


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [({}, "customer"), ({"KeyManager": "AWS"}, "aws_managed"), ({"error": "AccessDenied"}, "unknown")],
)
def test_the_manager_tells_whose_key_it_is(metadata, kind):
    assert read_encryption(Kms(**metadata), ENCRYPTED).kind == kind


def test_a_table_under_the_aws_owned_key_costs_no_call():
    assert read_encryption(None, definition()) == Encryption()


def test_aliases_and_ids_are_resolved_to_arns():
    there = resolve_key_map(Kms(), {KEY: "alias/tables", "1234": "alias/aws/dynamodb"})
    assert there == {KEY: THERE, "1234": "alias/aws/dynamodb"}
    assert resolve_key_map(Kms(), {KEY: "alias/tables", "other": "x"}, "", Encryption("customer", KEY)) == {KEY: THERE}
    assert resolve_key_map(None, {"other": "x"}, "", Encryption("customer", KEY)) == {}
    assert resolve_key_map(Kms(error="AccessDeniedException"), {KEY: THERE}) == {KEY: THERE}


@pytest.mark.parametrize("alias", ["alias/tables", f"{KEY.partition(':key/')[0]}:alias/tables"])
def test_d7_a_key_may_be_named_by_its_alias(alias):
    source, encryption = Kms(Arn=KEY), Encryption("customer", KEY)
    kms_key_map = {"other": "x", alias: "alias/there"}
    there = resolve_key_map(Kms(), kms_key_map, "", encryption, source)
    assert map_encryption(encryption, there) == Encryption("customer", THERE)
    for account in (Kms(Arn=f"{KEY}0"), Kms(error="NotFoundException"), Kms(error="AccessDeniedException")):
        assert resolve_key_map(Kms(), kms_key_map, "", encryption, account) == {}
    # The key itself counts before its alias, and costs no call.
    assert resolve_key_map(Kms(), {alias: "x", KEY: THERE}, "", encryption, Kms(error="ServiceException")) == {
        KEY: THERE
    }


@pytest.mark.parametrize(
    ("value", "metadata", "word"),
    [
        ("alias/tables", {"error": "AccessDeniedException"}, "cannot be described"),
        (THERE, {"error": "NotFoundException"}, "cannot be described"),
        (THERE, {"KeyState": "Disabled"}, "Disabled"),
        (THERE, {"KeySpec": "RSA_2048"}, "RSA_2048"),
        (THERE, {"KeyManager": "AWS"}, "managed by AWS"),
        (THERE.replace("eu-west-1", "us-east-1"), {}, "Region"),
    ],
)
def test_unusable_keys_are_refused_before_aws_does(value, metadata, word):
    with pytest.raises(KeyNotUsable, match=word):
        resolve_key_map(Kms(**metadata), {KEY: value})
