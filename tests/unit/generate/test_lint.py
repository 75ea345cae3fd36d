# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each policy that users attach is one that AWS takes, by the linter parliament: actions, resources and conditions."""

from __future__ import annotations

import json

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.ready_policies import filled
from generate.lint import MEANT, NEWER, findings
from generate.permission_files import FOLDER, JOB_ROLE_TRUST, PLACES, blocks, of_job_role, page_of, roles

FILES = sorted(path for path in FOLDER.glob("*.json") if path != JOB_ROLE_TRUST)
READY = {**PLACES, "TABLE": "shop-*"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_policies_of_methods_have_no_findings(path) -> None:
    assert list(findings(filled(json.loads(path.read_text()), READY))) == []


@pytest.mark.parametrize("role", roles())
def test_policies_of_roles_have_no_findings(role: str) -> None:
    for side, document in blocks(page_of(role).read_text()).items():
        assert (side, list(findings(filled(document, READY)))) == (side, [])


@pytest.mark.parametrize(
    ("changed", "issue"),
    [
        ({"Action": ["dynamodb:DescribeTabel"]}, "UNKNOWN_ACTION"),
        ({"Action": ["application-autoscaling:DescribeScalableTargets"]}, "RESOURCE_MISMATCH"),
        ({"Resource": "arn:aws:s3:::bucket"}, "RESOURCE_MISMATCH"),
        ({"Condition": {"StringEquals": {"iam:PassedToServices": "x"}}}, "UNKNOWN_CONDITION_FOR_ACTION"),
    ],
)
def test_a_wrong_policy_is_found(changed: dict, issue: str) -> None:
    table = "arn:aws:dynamodb:eu-west-1:111111111111:table/orders"
    statement = {"Effect": "Allow", "Action": ["dynamodb:DescribeTable"], "Resource": table, **changed}
    found = list(findings({"Version": "2012-10-17", "Statement": [statement]}))
    assert [each.partition(":")[0] for each in found] == [issue]


def test_what_is_left_out_has_its_reason() -> None:
    assert all([*NEWER.values(), *MEANT.values()])


def test_the_job_role_stands_there_as_it_is_made() -> None:
    assert {path: json.loads(path.read_text()) for path in of_job_role()} == of_job_role()
