# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab: two AWS accounts in one organization on loopback, strict where AWS is strict.

``python -m lab`` starts it by hand; tests start it in a thread. Nothing here is shipped with the collection.
"""
