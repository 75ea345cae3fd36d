# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guide of all errors: it is up to date, and says of each type what the code says."""

from __future__ import annotations

import ast

import pytest

from generate.troubleshooting import PAGE, Message, kinds, messages, page, raised, text_of

KNOWN = {"Held": object, "ExportFailed": object}
CODE = """
NEXT = "Wait, then run again."


def hold(table, run, code):
    cause = f"Another run, {run.run_id}, works on {table['name']}."
    if code:
        raise Held(cause, NEXT, table=table)
    raise ExportFailed("The export " + "failed." if code else "", hint(code))


def begin(table):
    def refuse(cause, next_step):
        return Held(cause, next_step, table=table)

    raise refuse(f"The lease ends in {in_words(LEASE_SECONDS)}.", "Renew it.")


def other(cause):
    raise Held(cause, NEXT)
"""


def test_the_guide_is_up_to_date() -> None:
    assert PAGE.read_text() == page(messages()), "Run make generate."


def test_each_type_has_messages() -> None:
    assert [name for name, found in messages().items() if not found] == []


@pytest.mark.parametrize("name", kinds())
def test_a_type_says_what_it_means_and_no_source_that_readers_do_not_have(name: str) -> None:
    text = PAGE.read_text()
    section = text[text.index(f"\n{name}\n---") :].split("\n.. _")[0]
    status = kinds()[name]("", "").status.capitalize()
    assert f"*{status}.* " in section
    assert "aws.md" not in section
    assert "measured/" not in section


def test_messages_are_read_with_what_they_fill_in() -> None:
    assert list(raised(CODE, KNOWN)) == [
        ("Held", Message("Another run, <run id>, works on <name>.", "Wait, then run again.")),
        ("ExportFailed", Message("The export failed.", "")),
        ("Held", Message("The lease ends in <lease seconds>.", "Renew it.")),
    ]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("'a' 'b'", "ab"),
        ("f'{len(rows)} rows of {name!r}'", "<rows> rows of <name>"),
        ("f'{table.arn.rpartition(\"/\")[2]} {x + 1}'", "<arn> <...>"),
        ("f'{side.upper()}: {\", \".join(sorted(each.name for each in rows))}'", "<side>: <rows>"),
        ("f'AWS refuses it: {sdk.error_text(error)}.'", "AWS refuses it: <error>."),
        ('f\'It failed{f": {why}" if why else ""}.\'', "It failed: <why>."),
        ("a or 'b'", "b"),
        ("3", None),
        ("called()", None),
        ("a + 'b'", None),
    ],
)
def test_the_text_of_an_expression(code: str, text: str | None) -> None:
    assert text_of(ast.parse(code, mode="eval").body, {}) == text
