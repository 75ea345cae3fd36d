# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How AWS Backup words its refusals, and its rules' short form."""

from __future__ import annotations

from lab.errors import AwsError
from lab.rules import Rule, rule

INSUFFICIENT = "Insufficient privileges to perform this action."


def belief(test_file: str, name: str, says: str, fact: str, confirmed: bool = True) -> Rule:
    """A rule ``backup-<name>``, shown by ``test_<name>`` in tests/unit/lab/backup/``test_file``.py."""
    return rule(
        f"backup-{name}",
        service="backup",
        says=says,
        fact=fact,
        test=f"backup/{test_file}.py::test_{name.replace('-', '_')}",
        confirmed=confirmed,
    )


def invalid_parameter(broken: Rule, text: str) -> AwsError:
    """InvalidParameterValueException."""
    return broken.error("InvalidParameterValueException", text)


def invalid_request(broken: Rule, text: str) -> AwsError:
    """InvalidRequestException."""
    return broken.error("InvalidRequestException", text)


def not_found(broken: Rule, text: str) -> AwsError:
    """ResourceNotFoundException."""
    return broken.error("ResourceNotFoundException", text)


def denied(broken: Rule, text: str = INSUFFICIENT) -> AwsError:
    """AccessDeniedException."""
    return broken.error("AccessDeniedException", text, 403)
