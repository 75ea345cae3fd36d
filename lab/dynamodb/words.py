# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How DynamoDB's control plane words its refusals, and its rules' short form."""

from __future__ import annotations

from lab.errors import AwsError
from lab.rules import Rule, rule


def belief(test_file: str, name: str, says: str, fact: str, confirmed: bool = True) -> Rule:
    """A rule ``dynamodb-<name>``, shown by ``test_<name>`` in tests/unit/lab/dynamodb/``test_file``.py."""
    return rule(
        f"dynamodb-{name}",
        service="dynamodb",
        says=says,
        fact=fact,
        test=f"dynamodb/{test_file}.py::test_{name.replace('-', '_')}",
        confirmed=confirmed,
    )


def validation(broken: Rule, text: str) -> AwsError:
    """ValidationException."""
    return broken.error("ValidationException", text)


def invalid(broken: Rule, text: str) -> AwsError:
    """ValidationException of parameter values."""
    return broken.error("ValidationException", f"One or more parameter values were invalid: {text}")


def in_use(broken: Rule, text: str) -> AwsError:
    """ResourceInUseException."""
    return broken.error("ResourceInUseException", f"Attempt to change a resource which is still in use: {text}")


def over_limit(broken: Rule, text: str) -> AwsError:
    """LimitExceededException."""
    return broken.error("LimitExceededException", f"Subscriber limit exceeded: {text}")


def not_found(broken: Rule, text: str) -> AwsError:
    """ResourceNotFoundException."""
    return broken.error("ResourceNotFoundException", f"Requested resource not found: {text} not found")
