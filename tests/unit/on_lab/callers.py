# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Callers who may do what a policy says and nothing else."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.ready_policies import parts


def user_who_may(iam: Any, name: str, document: str) -> dict[str, str]:
    """The keys of a new user of ``iam``'s account who may do what the policy ``document`` says."""
    iam.create_user(UserName=name)
    # Managed: inline ones of a user hold 2,048 characters.
    for number, part in enumerate(parts(json.loads(document))):
        policy = f"{name}-{number}" if number else name
        managed = iam.create_policy(PolicyName=policy, PolicyDocument=json.dumps(part))["Policy"]
        iam.attach_user_policy(UserName=name, PolicyArn=managed["Arn"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}
