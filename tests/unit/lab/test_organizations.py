# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Organizations: who may ask what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from lab.client import RunningLab, running


@pytest.fixture
def lab() -> Iterator[RunningLab]:
    with running(services=("lab.services.sts.StsService", "lab.services.organizations.OrganizationsService")) as lab:
        yield lab


def test_who_may_ask_what(lab: RunningLab) -> None:
    for who in ("source", "destination", "management"):
        organization = lab.client("organizations", who).describe_organization()["Organization"]
        assert organization["MasterAccountId"] == "333333333333"
    accounts = lab.client("organizations", "management").list_accounts()["Accounts"]
    assert [each["Id"] for each in accounts] == ["111111111111", "222222222222", "333333333333"]
    with pytest.raises(ClientError, match="AccessDeniedException"):
        lab.client("organizations", "source").list_accounts()
    with lab.world.lock:
        lab.world.accounts["111111111111"].organization_id = ""
    with pytest.raises(ClientError, match="AWSOrganizationsNotInUseException"):
        lab.client("organizations", "source").describe_organization()


def test_policy_types(lab: RunningLab) -> None:
    management = lab.client("organizations", "management")
    (root,) = management.list_roots()["Roots"]
    assert root["PolicyTypes"] == []
    request = {"RootId": root["Id"], "PolicyType": "BACKUP_POLICY"}
    shown = management.enable_policy_type(**request)["Root"]
    assert shown["PolicyTypes"] == [{"Type": "BACKUP_POLICY", "Status": "ENABLED"}]
    with pytest.raises(ClientError, match="PolicyTypeAlreadyEnabledException"):
        management.enable_policy_type(**request)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        lab.client("organizations", "source").enable_policy_type(**request)
    assert management.disable_policy_type(**request)["Root"]["PolicyTypes"] == []
    with pytest.raises(ClientError, match="PolicyTypeNotEnabledException"):
        management.disable_policy_type(**request)
    with pytest.raises(ClientError, match="RootNotFoundException"):
        management.enable_policy_type(**{**request, "RootId": "r-none"})
