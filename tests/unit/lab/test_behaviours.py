# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open questions about AWS and their answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import signature
from lab.backup import timings as backup
from lab.behaviours import Behaviour, Behaviours
from lab.dynamodb import timings as dynamodb

TESTS = Path(__file__).parent


def test_first_choice_holds_until_another_is_chosen() -> None:
    behaviours = Behaviours()
    behaviours.define([Behaviour("a.question", ("yes", "no")), Behaviour("b.question", ("one", "two"))])
    behaviours.choose("a.question", "no")
    assert behaviours.all() == {"a.question": "no", "b.question": "one"}
    with pytest.raises(KeyError, match=r"there are: a\.question, b\.question"):
        behaviours.choose("c.question", "yes")
    with pytest.raises(ValueError, match="one of yes, no, not 'maybe'"):
        behaviours.choose("a.question", "maybe")


@pytest.mark.parametrize(
    "behaviour", [*backup.BEHAVIOURS, *dynamodb.BEHAVIOURS, *signature.BEHAVIOURS], ids=lambda behaviour: behaviour.name
)
def test_every_behaviour_is_chosen_by_a_test(behaviour: Behaviour) -> None:
    room = behaviour.name.partition(".")[0]
    texts = [path.read_text() for path in (*(TESTS / room).glob("test_*.py"), *TESTS.glob(f"test_{room}.py"))]
    choosing = [text for text in texts if f'"{behaviour.name}"' in text]
    assert choosing
    assert any(f'"{behaviour.choices[1]}"' in text for text in choosing)
