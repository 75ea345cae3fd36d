# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transforms that make other items have other fingerprints; the same transform has one, wherever it is made."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.fingerprint import fingerprint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import TableSchemas
from tests.unit.core.items.transform.building import INDEXED, SALTS, schema

STEPS = (
    {"keep_if": "#n = :a"},
    {"rename": {"a": "b", "c": "d"}},
    {"hash": {"attributes": ["e"], "salt_from": "env:FERRY_SALT"}},
    {"python": "f.py:f"},
)
BASE = Definition(STEPS, INDEXED, {"#n": "n"}, {":a": {"S": "x"}}, 1.0, SALTS, {"f.py": "def f(item): return item"})
EXPIRING = replace(BASE, steps=(*STEPS, {"drop_expired": "ttl"}))


@pytest.mark.parametrize(
    "members",
    [
        {"steps": STEPS[:-1]},
        {"steps": (*STEPS[2:], *STEPS[:2])},
        {"steps": (STEPS[0], {"rename": {"c": "d", "a": "b"}}, *STEPS[2:])},
        {"names": {"#n": "m"}},
        {"values": {":a": {"N": "1"}}},
        {"salts": {"env:FERRY_SALT": b"another"}},
        {"files": {"f.py": "def f(item): return None"}},
        {"source": TableSchemas(schema("pk:S"))},
        {"destination": schema("mail:S")},
    ],
    ids=lambda members: next(iter(members)),
)
def test_whatever_makes_other_items_shows(members):
    assert fingerprint(replace(BASE, **members)) != fingerprint(BASE)


def test_the_time_of_the_data_shows_where_items_expire_by_it():
    assert fingerprint(replace(BASE, at=2.0)) == fingerprint(BASE)
    assert fingerprint(replace(EXPIRING, at=2.0)) != fingerprint(EXPIRING)


def test_indexes_that_come_or_go_make_no_other_items():
    assert fingerprint(replace(BASE, source=replace(INDEXED, indexes={}))) == fingerprint(BASE)


def test_it_is_the_same_in_each_process_and_shows_no_secret():
    program = (
        "from tests.unit.core.items.transform.test_fingerprint import EXPIRING, fingerprint\n"
        "print(fingerprint(EXPIRING))"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == fingerprint(EXPIRING)
    again = Definition(**{**vars(EXPIRING), "steps": json.loads(json.dumps(EXPIRING.steps))})
    assert fingerprint(again) == fingerprint(EXPIRING)
