# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every TableStatus of AWS's has a meaning."""

from __future__ import annotations

import botocore.session
import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import TableUnusable
from ansible_collections.tableferry.aws.plugins.module_utils.core.table_status import (
    Phase,
    advice,
    phase_of,
    require_usable,
)

ARN = "arn:aws:dynamodb:eu-west-1:111111111111:table/orders"
PHASES = {
    "CREATING": Phase.MAKING,
    "ACTIVE": Phase.USABLE,
    "UPDATING": Phase.USABLE,
    "REPLICATION_NOT_AUTHORIZED": Phase.UNCLEAR,
    "DELETING": Phase.GOING,
    "INACCESSIBLE_ENCRYPTION_CREDENTIALS": Phase.LOST,
    "ARCHIVING": Phase.LOST,
    "ARCHIVED": Phase.LOST,
}


def test_every_status_of_the_model_is_decided() -> None:
    model = botocore.session.get_session().get_service_model("dynamodb").shape_for("TableStatus")
    assert {status: phase_of(status) for status in model.enum} == PHASES
    assert phase_of("INVENTED_LATER") is Phase.UNCLEAR


@pytest.mark.parametrize("status", PHASES)
def test_what_waiting_does_not_mend_is_refused(status: str) -> None:
    table = {"TableName": "orders", "TableArn": ARN, "TableStatus": status}
    if PHASES[status] not in (Phase.GOING, Phase.LOST):
        require_usable(table)
        return
    with pytest.raises(TableUnusable, match=f"orders in eu-west-1 of account 111111111111 is {status}") as refused:
        require_usable(table)
    assert refused.value.status == "refused"
    assert refused.value.next_step == advice(table)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"TableStatus": "CREATING"}, "Wait until it is ACTIVE"),
        ({"TableStatus": "DELETING"}, "Wait until it is gone"),
        ({"TableStatus": "INACCESSIBLE_ENCRYPTION_CREDENTIALS"}, "cannot use its KMS key: enable"),
        (
            {"TableStatus": "INACCESSIBLE_ENCRYPTION_CREDENTIALS", "SSEDescription": {"KMSMasterKeyArn": "arn:key"}},
            "cannot use arn:key: enable",
        ),
        ({"TableStatus": "ARCHIVING"}, "Restore the backup that AWS makes of it"),
        ({"TableStatus": "ARCHIVED", "ArchivalSummary": {"ArchivalBackupArn": "arn:b"}}, "Restore the backup arn:b"),
    ],
)
def test_the_advice_names_what_helps(more: dict[str, object], words: str) -> None:
    assert words in advice({"TableName": "orders", **more})
