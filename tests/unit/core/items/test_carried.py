# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of an item travels, and what stays behind."""

from __future__ import annotations

import json
import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.carried import CARRIED, EVERYTHING, Carried
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.digest import canonical_item
from tests.unit.core.items.strategies import attributes, to_bytes


@settings(max_examples=40)
@given(st.lists(attributes, min_size=1, max_size=5))
def test_attributes_of_replication_are_not_written_and_all_others_are(items):
    marks = {"aws:rep:deleting": {"BOOL": False}, "aws:rep:updateregion": {"S": "x"}}
    plain = [to_bytes(each) for each in items]
    marked = [to_bytes({**marks, **each} if number % 2 else {**each, **marks}) for number, each in enumerate(items)]
    cleaned = CARRIED.of_page(b",".join(marked), marked)
    assert [json.loads(each) for each in cleaned] == [json.loads(each) for each in plain]
    assert list(map(CARRIED.of_item, marked)) == cleaned
    assert CARRIED.of_page(b",".join(plain), plain) is plain or any(b'"aws:rep:' in each for each in plain)
    assert list(CARRIED.of_page(b",".join(plain), plain)) == plain


def test_attributes_of_replication_are_ignored():
    plain = to_bytes({"id": {"S": "1"}, "m": {"M": {"aws:rep:x": {"N": "1"}}}})
    marked = to_bytes(
        {"aws:rep:updatetime": {"N": "1.5"}, "id": {"S": "1"}, "m": {"M": {"aws:rep:x": {"N": "1"}}}, "aws:rep:": {}}
    )
    assert canonical_item(CARRIED.of_item(marked)) == canonical_item(CARRIED.of_item(plain))
    assert canonical_item(to_bytes({"id": {"S": "1"}, "m": {"M": {}}})) != canonical_item(plain)


def test_what_is_left_out_goes_with_a_task_to_its_workers():
    carried = Carried("x:")
    item = to_bytes({"id": {"S": "1"}, "x:y": {"S": "2"}, "aws:rep:z": {"S": "3"}})
    kept = {"id": {"S": "1"}, "aws:rep:z": {"S": "3"}}
    assert json.loads(carried.of_item(item)) == kept
    sent = pickle.loads(pickle.dumps(carried))
    assert sent == carried
    assert json.loads(sent.of_item(item)) == kept


def test_h1_everything_is_carried_where_keys_need_it():
    marked = to_bytes({"id": {"S": "1"}, "aws:rep:updatetime": {"N": "1.5"}})
    page = [marked]
    assert EVERYTHING.of_page(marked, page) is page and EVERYTHING.of_item(marked) is marked
    assert EVERYTHING.has("aws:rep:updatetime")
    kept = CARRIED.of_page(marked, page)
    assert (CARRIED.shortened(page, kept), CARRIED.shortened(page, page)) == (1, 0)


@given(st.text(alphabet='aws:rep"\\ ', max_size=40), st.sampled_from(["aws:rep:", "x:", "a"]))
def test_a_mark_is_found_wherever_it_stands(text, left_out):
    body = text.encode()
    assert Carried(left_out)._search(body) == (f'"{left_out}' in text)
