# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts of a verb."""

from __future__ import annotations

import re

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import account as account_module
from ansible_collections.tableferry.aws.plugins.module_utils.glue.accounts import Accounts

ROLE = {"role_arn": "arn:aws:iam::111111111111:role/ferry", "region": "eu-west-1"}


@pytest.mark.parametrize(
    ("migration", "ends"),
    [("spring", "-spring"), ("für Ada", "-f_r_Ada"), ("m" * 100, "-" + "m" * 29), ("", "")],
)
def test_c10_a_roles_session_is_named_after_run_and_migration(monkeypatch, migration, ends):
    asked = []

    class Sts:
        def assume_role(self, **request):
            asked.append(request["RoleSessionName"])
            raise account_module.sdk.ClientError({"Error": {"Code": "Stop", "Message": ""}}, "AssumeRole")

    monkeypatch.setattr(account_module, "_make_client", lambda *args, **options: Sts())
    account = Accounts({"migration_id": migration}).get("source", {**ROLE, "access_key": "A", "secret_key": "S"})
    with pytest.raises(account_module.CredentialsError):
        account._assume_role(None)()
    assert re.fullmatch(r"[\w+=,.@-]{2,64}", asked[0], re.ASCII)
    assert re.fullmatch(f"tableferry-source-[0-9a-f]{{16}}{ends}", asked[0])
