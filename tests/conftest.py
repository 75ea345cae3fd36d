# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes depends on what else the machine does: that is no property of the code.
settings.register_profile("tableferry", deadline=None)
settings.load_profile("tableferry")
