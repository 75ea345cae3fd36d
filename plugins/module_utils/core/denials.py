# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which policy denies a call, as AWS says it in its words, and what is to be done about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_POLICIES = (
    r"service control policy|resource control policy|resource-based policy|identity-based policy|session policy"
    r"|permissions boundary|vpc endpoint policy"
)
_EXPLICIT = re.compile(rf"with an explicit deny in (?:an? |the )?({_POLICIES})", re.IGNORECASE)
_IMPLICIT = re.compile(rf"because no ({_POLICIES}) allows", re.IGNORECASE)
# Who can lift it, by the kind of policy. {lift} is what the policy needs.
_WHO = {
    "service control policy": "Ask who administers the organization to have {lift} in its service control policy:"
    " only its management account, or who it has delegated its policies to, can; no permission in this account helps.",
    "resource control policy": "Have {lift} in the resource control policy of the organization that owns the resource:"
    " only its management account, or who it has delegated its policies to, can; no permission in this account helps.",
    "resource-based policy": "Have {lift} in the policy of the resource that AWS names, in the account that owns it: a"
    " change counts after up to four minutes.",
    "permissions boundary": "Have {lift} in the permissions boundary of the principal that AWS names: who set the"
    " boundary can; its other policies do not help.",
    "session policy": "Have {lift} in the session policy that the credentials were issued with, or use"
    " credentials without it.",
    "vpc endpoint policy": "Have {lift} in the policy of the VPC endpoint that the calls go through: who runs the"
    " network can; or call from elsewhere.",
    "identity-based policy": "Have {lift} in the policies of the principal that AWS names.",
}
# A policy may demand tags (aws:RequestTag) of what makes things.
_OWN_TAGS = "tags of the account's options (ferry_tags in playbooks)"
_MAKING = re.compile(
    r"\b(s3:CreateBucket|kms:CreateKey|iam:CreateRole|logs:CreateLogGroup|backup:(Create|Start)\w+"
    r"|ram:CreateResourceShare|glue:CreateJob|emr-serverless:(CreateApplication|StartJobRun)"
    r"|elasticmapreduce:RunJobFlow)\b"
)
_DEMANDED = (
    (
        re.compile(r"\bdynamodb:(ImportTable|RestoreTable\w*)\b"),
        "If it demands tags: this call takes none. Use the method direct, whose CreateTable has the tags of the source"
        " table.",
    ),
    (
        re.compile(r"\bdynamodb:CreateTable\b"),
        f"If it demands tags: a copy is created with those of its source table, the record table with {_OWN_TAGS}.",
    ),
    (_MAKING, f"If it demands tags, set them as {_OWN_TAGS}."),
)
_LIFT = {True: "the Deny taken away", False: "the action allowed"}
_NAMES = {name.lower(): name.replace("vpc", "VPC") for name in _WHO}

OWN = "identity-based policy"


@dataclass(frozen=True)
class Denial:
    """The kind of ``policy`` that denies, "" where AWS does not say it; whether it is an ``explicit`` Deny.

    ``next_step`` is who can lift that and how, "" where the principal's own policies lack the action: then ``allow``
    is it, or what a caller knows better.
    """

    policy: str = ""
    explicit: bool = False
    next_step: str = ""


def denial_of(message: str) -> Denial:
    """What AWS's ``message`` says of a denial."""
    explicit = _EXPLICIT.search(message)
    match = explicit or _IMPLICIT.search(message)
    if match is None:
        return Denial()
    policy = match[1].lower()
    if policy == OWN and not explicit:
        return Denial(OWN)
    step = _WHO[policy].format(lift=_LIFT[bool(explicit)])
    # The policy of a resource has nothing to say of what is made.
    if explicit and not policy.startswith("resource"):
        step += next((f" {advice}" for action, advice in _DEMANDED if action.search(message)), "")
    return Denial(_NAMES[policy], bool(explicit), step)


def allow(side: str, message: str = "", what: str = "the action named for the principal named") -> str:
    """The next step where the policies of the principal of ``side`` lack ``what``, or AWS does not say what denies;
    ``message`` is what AWS says."""
    tags = f" If a policy allows it with certain tags only, set them as {_OWN_TAGS}." if _MAKING.search(message) else ""
    return f"Allow {what}: docs/permissions/<method>-{side}.json has all that is needed.{tags}"
