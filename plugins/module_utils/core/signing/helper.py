# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command of a profile that prints its keys (credential_process), within bounds.

botocore waits for it without end, and its error quotes what the command wrote to stderr, where secrets may stand: the
AWS CLI's guide only asks its author to write none there ("Source credentials with an external process").
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

from .. import sdk

# AWS documents no limit. A call of a password safe or of an identity provider takes seconds.
SECONDS = 60.0


class HelperTimeout(TimeoutError):
    """The command did not end in time."""


class Helper:
    """A running command, as botocore uses ``subprocess.Popen`` for it: ``communicate``, then ``returncode``.

    It has a session of its own, so that what it has started ends with it. Raises OSError where it cannot be started.
    """

    def __init__(self, command: Sequence[str], **_pipes: Any) -> None:
        # The core knows no module's run_command, and that one waits without end.
        self._process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )

    @property
    def returncode(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.returncode

    def communicate(self) -> tuple[bytes, bytes]:
        """What it printed, and what botocore's error is to say where it failed. Raises HelperTimeout."""
        try:
            printed, _nothing = self._process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self._end()
            raise HelperTimeout(f"the credential_process did not end within {SECONDS:g} seconds") from None
        except BaseException:
            self._end()
            raise
        return printed, f"exit status {self.returncode}; what it writes to stderr is not shown".encode()

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        # Whoever left its session may hold the pipe open.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=1)


def bound(session: sdk.Session) -> None:
    """Have ``session`` start the commands of its profiles as ``Helper``, those of the profiles that a role is assumed
    from too."""
    for provider in session.get_component("credential_provider").providers:
        _bound(provider)
        builder = getattr(provider, "_profile_provider_builder", None)
        if builder is not None:
            _bound_builder(builder)


def _bound(provider: Any) -> Any:
    if isinstance(provider, sdk.ProcessProvider):
        provider._popen = Helper
    return provider


def _bound_builder(builder: Any) -> None:
    made = builder.providers

    def providers(*given: Any, **named: Any) -> list[Any]:
        return [_bound(provider) for provider in made(*given, **named)]

    builder.providers = providers
