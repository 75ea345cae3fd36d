# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which method the jobs of a table are of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .method import Method


def method_of_kinds(methods: Collection[Method], kinds: Mapping[str, object]) -> Method | None:
    """The one of ``methods`` that the jobs of ``kinds`` are of, by most of them: several begin with an export."""
    found = max(methods, key=lambda method: len(method.kinds.keys() & kinds.keys()))
    return found if found.kinds.keys() & kinds.keys() else None


def name_by_jobs(methods: Collection[Method], jobs: Mapping[str, Mapping[str, Any]]) -> str:
    """The name of the one of ``methods`` that ``jobs``, data by kind, are of: one of them names it where several have
    their kinds; "" where they do not say."""
    found = method_of_kinds(methods, jobs)
    named = (str(((job or {}).get("request") or {}).get("method") or "") for job in jobs.values())
    return next(filter(None, named), "" if found is None else found.name)
