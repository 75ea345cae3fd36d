# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a process that moves items uses its memory."""

from __future__ import annotations

import ctypes
import gc

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items import memory


@pytest.fixture(autouse=True)
def unfrozen():
    gc.unfreeze()
    yield
    gc.unfreeze()
    memory.keep_pages.cache_clear()


def test_what_was_there_is_frozen_for_the_time_of_the_work():
    with pytest.raises(KeyError), memory.for_items():
        assert gc.get_freeze_count()
        assert gc.isenabled()
        raise KeyError
    assert not gc.get_freeze_count()


def test_what_the_process_froze_itself_stays_frozen():
    gc.freeze()
    with memory.for_items():
        assert gc.get_freeze_count()
    assert gc.get_freeze_count()


@pytest.mark.parametrize("library", [object(), None])
def test_an_allocator_without_settings_stays_as_it_is(monkeypatch, library):
    def loaded(_name: None) -> object:
        if library is None:
            raise OSError("no such library")
        return library

    memory.keep_pages.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", loaded)
    assert not memory.keep_pages()
    with memory.for_items():
        pass
