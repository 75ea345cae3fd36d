# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random histories of a table's migration over the lab in one process: ``python -m tests.histories --method s3``.

``plan`` draws what happens to a table, ``turns`` lets controllers take turns under the world's clock, ``controller`` is
ansible-playbook with its verbs, ``stand_ins`` takes threads and sockets out of the way, ``user`` is everybody else,
``promises`` is what a copy must have, ``history`` plays a plan and holds it to all promises. ``broken_rules`` shows
that random draws find what comes of doing without a rule of the record.
"""
