# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every service checks before it takes a resource policy; each refuses with its own error."""

from __future__ import annotations

from lab import policy
from lab.errors import AwsError
from lab.world import World


class PolicyFlaw(ValueError):
    """Why a resource policy cannot be taken."""


def checked_policy(world: World, document: str) -> policy.Policy:
    """The statements of a resource policy; PolicyFlaw when it is malformed or names a principal that does not exist."""
    try:
        statements = policy.parse(document)
    except AwsError as error:
        raise PolicyFlaw(error.message) from None
    for statement in statements:
        if not statement.principals:
            raise PolicyFlaw("Missing required field Principal")
        if not statement.resources:
            raise PolicyFlaw("Missing required field Resource")
        for kind, value in statement.principals:
            if kind == "AWS" and not world.identity.principal_exists(value):
                raise PolicyFlaw("Invalid principal in policy")
    return statements
