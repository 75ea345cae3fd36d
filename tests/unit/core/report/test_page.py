# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page and the Markdown: complete, small, and harmless whatever tables are called."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.report import row as rows
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.document import WrittenBy, document
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.folder import files_of
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.harmless import harmless, harmless_all
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.markdown import markdown
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.page import FIRST_SHOWN, page
from generate.sample_report import sample

BY = WrittenBy("3f9ac1d27be04410", "migrate", "2026-11-29T11:00:00+00:00")
LONG = "n" * 255
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a\u202egpj.exe",
    "a\u200f\u2066b\u2069",
    "line\nbreak\u2028and\x00control",
    "{{ 7 * 7 }}{% raw %}",
    "|[link](javascript:alert(1))|`code`",
    "</style><!--",
    "\ud800half",
    LONG,
)


class Reader(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps it."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keeps it."""
        self.texts.append(data)


def hostile() -> dict[str, Any]:
    """A report in which all that comes from outside is hostile."""
    found = []
    for number, name in enumerate(HOSTILE):
        place = rows.TablePlace(name, "1" * 12, "eu-west-1")
        job = {"kind": "export", "state": name, "arn": f"{place.arn}/export/{name}"}
        judged = {"status": "migrated", "notes": [name], "reason": name, "data_as_of": {"from": name}}
        failure = {"msg": f"{name}: {name}", "next_step": name} if number % 2 else None
        entry = rows.row(
            name, name, judgement=judged, jobs={"e": job}, failure=failure, way=rows.Way(place, place, name)
        )
        entry["settings_left"] = [{"what": name, "reason": name}]
        found.append({**entry, "to_do": [{"what": name, "text": name}]})
    return document(found, BY)


@pytest.mark.parametrize("written_at", [BY.at, "2026-11-29T09:00:00+00:00"])  # by a clock that is behind AWS's, too
def test_jobs_of_which_none_has_ended_have_their_place_on_the_timeline(written_at: str) -> None:
    job = {"kind": "export", "state": "running", "arn": "", "result": {"start_time": "2026-11-29T10:00:00+00:00"}}
    judged = {"status": "failed", "reason": "still running"}
    found = document([rows.row("a", "a", judgement=judged, jobs={"e": job})], WrittenBy(BY.run, BY.kind, written_at))
    assert (found["totals"]["start"], found["totals"]["end"]) == ("2026-11-29T10:00:00.000+00:00", "")
    assert "export" in page(found)


def test_names_are_shown_and_do_nothing() -> None:
    text = page(hostile())
    read = Reader(text)
    kinds = {tag for tag, _attributes in read.tags}
    assert not kinds & {"img", "iframe", "object", "embed", "base"}
    scripts = [attributes for tag, attributes in read.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "data"}, {}]
    assert not [name for _tag, attributes in read.tags for name in attributes if name.startswith("on")]
    shown = "".join(read.texts)
    assert "<script>alert(1)</script>" in shown and "a[U+202E]gpj.exe" in shown and LONG in shown
    assert "{{ 7 * 7 }}" in shown and "49" not in re.sub(r"\d{3,}", "", shown.partition("What is left")[0])
    assert not re.search("[\u200b-\u200f\u2028-\u202e\u2060-\u2069\x00\ud800-\udfff]", text)
    text.encode("utf-8")


def test_the_data_of_the_page_ends_nothing() -> None:
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page(hostile()), re.DOTALL)
    assert data is not None and "<" not in data[1]
    found = json.loads(data[1])
    assert len(found["tables"]) == len(HOSTILE) and "</style><!--" in found["texts"]


def test_the_page_needs_nothing_else() -> None:
    text = page(sample(50))
    read = Reader(text)
    asked = [(tag, name) for tag, attributes in read.tags for name in attributes if name in ("src", "srcset", "data")]
    assert asked == []
    assert [attributes["href"] for _tag, attributes in read.tags if "href" in attributes] == ["#tables"]
    assert not re.search(r"https?:|url\(|@import|@font-face", text)
    policy = next(attributes["content"] for tag, attributes in read.tags if "http-equiv" in attributes)
    assert policy is not None and policy.startswith("default-src 'none'") and "unsafe" not in policy


def test_those_that_need_attention_are_first_and_their_causes_told_once() -> None:
    text = page(sample(200))
    statuses = re.findall(r'<td><span class="s (\w+)">', text)
    assert statuses == sorted(statuses, key=["failed", "refused", "copied", "migrated"].index)
    assert len(statuses) == 200
    causes = text.partition('<h2 id="attention">')[2].partition("</section>")[0]
    assert causes.count("local secondary indexes") == 1


def test_a_comparison_that_found_differences_needs_attention() -> None:
    found = sample(30)
    last = max((entry for entry in found["tables"] if entry["status"] == "migrated"), key=lambda entry: entry["name"])
    compared = {"level": "full", "result": "differs", "at": BY.at, "run": BY.run, "message": "3 items differ."}
    last["comparison"] = compared
    order = re.findall(r'<th scope="row">.*?<bdi>(.*?)</bdi>', page(found))
    stopped = sum(entry["status"] in ("failed", "refused") for entry in found["tables"])
    assert order.index(last["name"]) <= stopped
    assert "full: differs" in page(found)


def test_a_timeline_has_a_bar_for_each_phase_within_the_common_time() -> None:
    text = page(sample(30))
    bars = re.findall(r'<path class="p\d" d="M(\d+) 0h(\d+)v10h-(\d+)"/>', text)
    assert bars and all(right == width for _left, width, right in bars)
    assert all(int(left) + int(width) <= 1002 for left, width, _right in bars)
    assert min(int(left) for left, _width, _right in bars) == 0
    assert re.search(r"<title>export \d+m\d+s, import \d+m\d+s, settings \d+s</title>", text)


@pytest.mark.parametrize("number", [0, 1, FIRST_SHOWN, FIRST_SHOWN + 1])
def test_rows_above_a_number_are_shown_when_asked_for(number: int) -> None:
    text = page(sample(number))
    assert text.count('<tr class="w">') == max(0, number - FIRST_SHOWN)
    assert ("Show all" in text.partition("<script")[0]) == (number > FIRST_SHOWN)


def test_2500_tables_are_a_page_of_less_than_3_mb_made_in_less_than_2_seconds() -> None:
    """In CPU time: other processes of the machine are none of its."""
    found = sample(2500)
    begun = time.process_time()
    files = files_of(found)
    assert time.process_time() - begun < 2
    assert len(files["report.html"].encode()) < 3_000_000
    assert files["report.html"].count("<tr") == 2501


def test_nothing_of_the_markdown_is_markup_but_ours() -> None:
    text = markdown(hostile())
    assert (
        "\\<script\\>" in text
        and "\\[link\\]\\(javascript\\:" in text
        and "[U+202E]".replace("[", "\\[") in text.replace("\\+", "+").replace("\\]", "]")
    )
    assert not re.search("[\u200b-\u200f\u2028-\u202e\x00]", text)
    rows_ = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows_) == len(HOSTILE) + 1
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows_} == {10}


def test_the_markdown_is_stable() -> None:
    text = markdown(sample(5))
    assert text.startswith("# 5 tables: 1 refused, 4 migrated\n")
    assert "## Reasons" in text and "- [ ] **applications**" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain äöü 東京", "plain äöü 東京"), ("a\tb\r\nc", "a b c"), ("\u202e", "[U+202E]"), ("a\u00a0b", "a\u00a0b")],
)
def test_only_what_cannot_be_seen_is_shown_by_number(text: str, shown: str) -> None:
    assert harmless(text) == shown
    assert harmless_all({text: [text, 1, None]}) == {shown: [shown, 1, None]}
