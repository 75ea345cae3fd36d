# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A callback of ansible-playbook that names each play to the lab, as the phase in which permissions are needed."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

from generate.rehearsal import NOTHING, SIDES, let
from lab.client import LabClient

DOCUMENTATION = """
name: lab_phase
type: notification
short_description: Names each play to the lab
description:
  - With E(TABLEFERRY_LAB_POLICIES), a file, it also lets the callers do what is there under the play's name.
  - Tells the lab at E(TABLEFERRY_LAB_URL) which play of E(TABLEFERRY_LAB_PHASE) begins.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Sends ``migrate: Prepare the accounts`` when that play begins, before any of its tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "lab_phase"

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Name the play."""
        url = f"{os.environ['TABLEFERRY_LAB_URL']}/_lab/permissions"
        body = json.dumps({"phase": f"{os.environ['TABLEFERRY_LAB_PHASE']}: {play.get_name()}"}).encode()
        urllib.request.urlopen(urllib.request.Request(url, body, method="POST")).close()
        if file := os.environ.get("TABLEFERRY_LAB_POLICIES"):
            content = json.loads(Path(file).read_text())
            lab = LabClient(content["landscape"]["endpoint_url"], content["landscape"])
            for side in SIDES:
                let(lab, side, content["policies"].get(play.get_name(), {}).get(side, NOTHING))
