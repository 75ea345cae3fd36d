# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``playbooks/awx.yml`` with one credential that may assume a role on each side."""

from __future__ import annotations

import json

from tests.runs.awx_api import PLACES, ROOT, needs_awx, set_up, stand_in

pytestmark = needs_awx


def test_a_hub_needs_one_credential_and_no_type_of_its_own() -> None:
    with stand_in(ROOT) as awx:
        fields = [{"id": "username"}, {"id": "password", "secret": True}]
        aws = {"name": "Amazon Web Services", "kind": "cloud", "inputs": {"fields": fields}, "injectors": {}}
        made = awx.create("credential_types", aws)
        awx.create("credentials", {"name": "aws hub", "credential_type": made["id"], "inputs": {}})
        roles = {side: {**PLACES[side], "role_arn": f"arn:aws:iam::111111111111:role/{side}"} for side in PLACES}
        assert "Set awx_source and awx_destination" in set_up(awx, expect=2, **PLACES, awx_way="hub")
        assert "There is no credential aws." in set_up(awx, expect=2, **roles, awx_way="hub", awx_hub_credential="aws")
        set_up(awx, **roles, awx_way="hub", awx_hub_credential="aws hub")
        assert list(awx.objects["credential_types"].values()) == [made]
        assert awx.linked("job_templates", "TableFerry plan", "credentials") == ["aws hub"]
        source = awx.named("inventory_sources", "Tables of the source account")
        assert json.loads(source["source_vars"])["TABLEFERRY_SOURCE_ROLE_ARN"] == roles["awx_source"]["role_arn"]
        assert source["source_path"].endswith("/hub.dynamodb_tables.yml")
