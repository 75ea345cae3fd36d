# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An export alone refuses what the method after it cannot carry, and says which methods can."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs import dynamodb_export, dynamodb_import

SIDE = {"region": "eu-west-1", "access_key": "AKIA", "secret_key": "secret"}
SIDES = {"source": SIDE, "destination": SIDE}


def params(**options: Any) -> dict[str, Any]:
    arguments = {"name": "orders", "bucket": "b", **SIDES, **options}
    result = ArgumentSpecValidator(dynamodb_export.SPEC).validate(arguments)
    assert not result.error_messages
    return dict(result.validated_parameters)


@pytest.mark.parametrize(
    ("options", "to_import"),
    [
        ({}, True),
        ({"method": "s3"}, True),
        ({"method": "backup"}, False),
        ({"export_type": "incremental", "from_time": "2026-10-08"}, False),
    ],
)
def test_an_export_is_for_an_import_unless_the_method_is_another(options: dict[str, Any], to_import: bool) -> None:
    assert dynamodb_export.options(params(**options)).to_import is to_import


@pytest.mark.parametrize(
    ("method", "error"), [("teleport", errors.UnknownMethod), ("replica", errors.NotInThisVersion)]
)
def test_methods_that_there_are_not_are_refused(method: str, error: type[errors.FerryError]) -> None:
    with pytest.raises(error, match="orders: "):
        dynamodb_export.options(params(method=method))


@pytest.mark.parametrize(("verb", "plan"), [(dynamodb_export, "plan_export"), (dynamodb_import, "plan_import")])
def test_a_refusal_names_the_methods_that_can(verb: Any, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise errors.LocalSecondaryIndexes("It has some.", "Use another.", table="orders")

    monkeypatch.setattr(verb, plan, refuse)
    monkeypatch.setattr(verb, "refuse_held", lambda *_place: None)
    arguments = {"name": "orders", "bucket": "b", **SIDES}
    if verb is dynamodb_import:
        arguments["prefix"] = "a/data/"
    checked = dict(ArgumentSpecValidator(verb.SPEC).validate(arguments).validated_parameters)
    with pytest.raises(
        errors.LocalSecondaryIndexes, match=r"It has some\. Methods that can: backup, direct, glue, emr\."
    ):
        verb.run(checked, True, print)
