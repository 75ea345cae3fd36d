# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations in words."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (12.4, "12 s"),
        (89, "89 s"),
        (119, "2 minutes"),
        (910, "15 minutes"),
        (7200, "2 hours"),
        (172823, "2 days"),
        (8640000, "100 days"),
    ],
)
def test_the_largest_unit_that_says_enough(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
