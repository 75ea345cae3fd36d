# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts of a rehearsal: a source and a destination in one organization, its manager, and one outside."""

from __future__ import annotations

import json
from typing import Any

from lab.identity import ADMINISTRATOR_ACCESS
from lab.partitions import in_partition, partition_of
from lab.world import World

REGION = "eu-west-1"
# Exports of minutes become seconds, and the order of what happens stays.
DEFAULT_SCALE = 0.02
SOURCE = "111111111111"
DESTINATION = "222222222222"
MANAGEMENT = "333333333333"
OUTSIDE = "444444444444"
ORGANIZATION = "o-tableferry1"
ROLE = "ferry"
HUB_USER = "hub"


def settle(world: World, region: str = REGION) -> dict[str, Any]:
    """Open the accounts with their users, keys and roles, and return how to reach them.

    Each account has an administrator with an access key; all but the management account have a role ``ferry`` that only
    the user ``hub`` of the management account may assume, with the external id. The account ``outside`` is in no
    organization. All are in the partition of ``region``. Answers ``region``, ``accounts`` by ``source``,
    ``destination``, ``management`` and ``outside``, and ``hub``; secrets in clear text.
    """
    partition = partition_of(region)
    with world.lock:
        accounts = {
            "source": _account(world, SOURCE, "source", partition),
            "destination": _account(world, DESTINATION, "destination", partition),
            "management": _account(world, MANAGEMENT, "management", partition),
            "outside": _account(world, OUTSIDE, "outside", partition, ""),
        }
        hub = world.identity.add_user(MANAGEMENT, HUB_USER)
        hub.inline["assume-ferry"] = _policy(
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:{partition}:iam::*:role/{ROLE}"},
            {"Effect": "Allow", "Action": "organizations:Describe*", "Resource": "*"},
        )
        for side in ("source", "destination", "outside"):
            accounts[side] |= _role(world, accounts[side]["account_id"], side, hub.arn)
        return {
            "region": region,
            "accounts": accounts,
            "hub": {"account_id": MANAGEMENT, "arn": hub.arn, **_key(world, MANAGEMENT, HUB_USER)},
        }


def _account(
    world: World, account_id: str, name: str, partition: str, organization_id: str = ORGANIZATION
) -> dict[str, str]:
    world.accounts.add(account_id, name, organization_id, partition)
    key = world.identity.add_administrator(account_id)
    return {"account_id": account_id, "access_key": key.id, "secret_key": key.secret}


def _key(world: World, account_id: str, user: str) -> dict[str, str]:
    key = world.identity.add_access_key(account_id, user)
    return {"access_key": key.id, "secret_key": key.secret}


def _role(world: World, account_id: str, side: str, trusted: str) -> dict[str, str]:
    external_id = f"{side}-{world.random.getrandbits(48):012x}"
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": trusted},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }
    attached = (in_partition(ADMINISTRATOR_ACCESS, world.accounts.partition(account_id)),)
    role = world.identity.add_role(account_id, ROLE, _policy(trust), attached=attached)
    return {"role_arn": role.arn, "external_id": external_id}


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
