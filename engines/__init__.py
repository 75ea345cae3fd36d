# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Other implementations of DynamoDB besides the lab: Amazon's DynamoDB Local and dynalite, for tests and benchmarks.

Fetched into ``build/engines`` by ``make engines``; neither is part of this repository or of the collection.
"""
