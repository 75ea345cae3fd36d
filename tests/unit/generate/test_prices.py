# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The prices that ship as Python are those of the YAML file."""

from __future__ import annotations

from generate.prices import PYTHON, YAML, python_of


def test_the_prices_are_up_to_date() -> None:
    assert PYTHON.read_text() == python_of(YAML.read_text()), "run make generate"


def test_a_changed_price_is_found() -> None:
    assert python_of(YAML.read_text().replace("price: 0.44", "price: 0.45")) != PYTHON.read_text()
