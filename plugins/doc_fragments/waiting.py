# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Waiting for the job of one table. For many tables M(tableferry.aws.job_wait) needs fewer calls."""

    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Wait until the job has ended, and fail if it failed.
      - For many tables, start all jobs first and wait for them with one M(tableferry.aws.job_wait).
    type: bool
    default: false
  wait_timeout:
    description:
      - How long to wait, in seconds. A job of AWS that is still running continues, and the next run finds it. A copy
        stops, and the next run continues it.
    type: int
    default: 86400
"""
