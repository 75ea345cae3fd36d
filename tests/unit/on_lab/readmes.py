# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the roles' READMEs let callers do."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.ready_policies import filled
from generate.permission_files import blocks, page_of

PLACES = {
    "REGION": "eu-west-1",
    "SOURCE": "111111111111",
    "DESTINATION": "222222222222",
    "BUCKET": "tableferry-staging",
    "TABLE": "narrow",
    "VAULT": "tableferry",
}


def policies(side: str, *roles: str, **places: str) -> list[dict[str, Any]]:
    """What the READMEs of these roles let a side do, their places filled in."""
    pages = [blocks(page_of(role).read_text()) for role in roles]
    made = [filled(page[side], {**PLACES, **places}) for page in pages if side in page]
    return [statement for document in made for statement in document["Statement"]]


def sentence(role: str, starts: str) -> dict[str, Any]:
    """A statement with the actions that a sentence of the role's README names, up to its full stop."""
    text = re.sub(r"\s+", " ", page_of(role).read_text())
    words = text[text.index(starts) :].partition(". ")[0]
    actions = re.findall(r"`((?:backup|kms|s3):\w+)`", words)
    assert actions
    return {"Effect": "Allow", "Action": actions, "Resource": "*"}
