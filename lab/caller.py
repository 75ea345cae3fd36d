# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ConditionValue = str | list[str]


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal behind a request.

    ``arn`` is what GetCallerIdentity answers (for a session ``arn:aws:sts::<account>:assumed-role/<role>/<session>``),
    ``principal_arn`` what policies name and ``aws:PrincipalArn`` holds (for a session the role's ARN, its path kept).
    ``session_policies`` narrow a session (AssumeRole's ``Policy``). ``kind`` ``service`` is an AWS service principal
    such as ``logs.amazonaws.com``, whose ``arn`` is that name.
    """

    account_id: str
    arn: str
    kind: Literal["root", "user", "assumed_role", "service"]
    principal_arn: str
    user_id: str = ""
    user_name: str = ""
    session_name: str = ""
    session_policies: tuple[str, ...] = ()
    access_key_id: str = ""

    @classmethod
    def service(cls, name: str, account_id: str = "") -> Caller:
        """The AWS service principal ``name``, working for ``account_id``."""
        return cls(account_id=account_id, arn=name, kind="service", principal_arn=name, user_id=name)
