# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of some tables, in one form everywhere."""

from __future__ import annotations

from ansible_collections.tableferry.aws.plugins.module_utils.core.report.alike import first_of


def test_of_many_names_the_first_are_told_and_the_others_counted() -> None:
    names = ["a", "b", "c"]
    assert [first_of(names[:number], 2) for number in range(4)] == ["", "a", "a, b", "a, b and 1 more"]
