# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What check mode compares with before the destination table is there."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import MissingKeyMapping
from ansible_collections.tableferry.aws.plugins.module_utils.core.table import preview
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.autoscaling import AutoScaling
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.preview import as_imported
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.setting import Settings, SettingsOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.settings import plan_settings

KEY = "arn:aws:kms:eu-west-1:111111111111:key/one"
OTHER_KEY = "arn:aws:kms:eu-west-1:222222222222:key/two"
ARN = "arn:aws:dynamodb:eu-west-1:222222222222:table/orders"
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 7}


def source(**members: Any) -> Settings:
    table = {
        "TableName": "orders",
        "TableArn": ARN.replace("2" * 12, "1" * 12),
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "at", "AttributeType": "N"},
        ],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "by-time",
                "KeySchema": [{"AttributeName": "at", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": UNITS,
            }
        ],
        "ProvisionedThroughput": UNITS,
        "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY},
    }
    return Settings(
        TableDefinition.from_dict({**table, **members}), {"encryption": {"kind": "customer", "key_arn": KEY}}
    )


def changes_of(settings: Settings) -> list[str]:
    options = SettingsOptions(kms_key_map={KEY: OTHER_KEY})
    return [
        change.what
        for change in plan_settings(settings, as_imported(settings, ARN, "orders", options), options).changes
    ]


def test_what_an_import_makes_is_no_setting_to_carry() -> None:
    assert changes_of(source()) == ["tags"]


def test_what_an_import_cannot_make_is() -> None:
    members = {
        "TableClassSummary": {"TableClass": "STANDARD_INFREQUENT_ACCESS"},
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        "DeletionProtectionEnabled": True,
    }
    assert set(changes_of(source(**members))) == {"tags", "table_class", "stream", "deletion_protection"}


def test_a_key_without_a_counterpart_is_refused() -> None:
    with pytest.raises(MissingKeyMapping):
        as_imported(source(), ARN, "orders", SettingsOptions())


def test_another_tables_key_is_no_reason_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Destination:
        region = "eu-west-1"

        def client(self, service: str) -> Any:
            return self

        def table_arn(self, table: str) -> str:
            return ARN

        def describe_key(self, KeyId: str) -> dict[str, Any]:
            asked.append(KeyId)
            return {"KeyMetadata": {"Arn": KeyId}}

    monkeypatch.setattr(TableDefinition, "read", lambda account, name: source().definition)
    read = {(): source(), (AutoScaling.name,): Settings(source().definition)}
    monkeypatch.setattr(preview, "read_settings", lambda account, definition, only=(): read[only])
    options = SettingsOptions(kms_key_map={KEY: OTHER_KEY, "another": "unusable"})
    plan = preview.preview_settings(None, Destination(), "orders", "orders", options, as_imported)
    assert [change.what for change in plan.changes] == ["tags"]
    assert asked == [OTHER_KEY]
