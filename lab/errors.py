# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a service of the lab refuses: one exception, written to the wire by ``lab.protocol``."""

from __future__ import annotations

from typing import Any


class AwsError(Exception):
    """An AWS error answer.

    ``code`` is the error code as SDKs show it (``ResourceNotFoundException``), ``message`` its text, ``status`` the
    HTTP status (400 for nearly every refusal of DynamoDB, measured/import-export-table 1.1), ``fault`` ``client`` or
    ``server``. ``members`` are further modelled members of the error, for example ``CancellationReasons``.
    """

    def __init__(self, code: str, message: str, status: int = 400, fault: str = "client", **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fault = fault
        self.members = members


class ConnectionDropped(Exception):
    """The connection is to be cut without an answer, as a lost network would do. Raised by faults only."""
