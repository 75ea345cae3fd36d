# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m demo.playground [FOLDER]``: two accounts with some tables to move, and an inventory of them.

Runs until Ctrl-C or SIGTERM. Another terminal moves the tables, by the commands that it prints.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path

import yaml

from demo.run import by_keys
from demo.seed import make_tables
from demo.tables import SAMPLES, sample
from lab.client import LabClient, spawn

FOLDER = Path("build/lab")
SIDES = ("source", "destination")


def main(folder: Path) -> int:
    """Serve the accounts; ``folder`` gets the inventory, and what a shell needs."""
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with spawn(log=folder / "lab.log") as lab:
            make_tables(lab, "source", map(sample, SAMPLES))
            inventory, shell = write_inventory(lab, folder), write_shell(folder)
            print(
                f"Two AWS accounts are on 127.0.0.1, and {len(SAMPLES)} tables in one. In another terminal:\n\n"
                f". {shlex.quote(str(shell))}\n"
                f"ansible-playbook tableferry.aws.plan    -i {shlex.quote(str(inventory))}\n"
                f"ansible-playbook tableferry.aws.migrate -i {shlex.quote(str(inventory))}\n\n"
                "Change the inventory as you like. Ctrl-C ends the accounts, and all that is in them.",
                flush=True,
            )
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return 0


def write_inventory(lab: LabClient, folder: Path) -> Path:
    """The inventory of the tables, readable only by its owner: it has keys."""
    variables = {f"ferry_{name}": by_keys(lab, name) for name in SIDES}
    group = {"vars": variables, "hosts": {name: {} for name in SAMPLES}}
    inventory = folder / "inventory.yml"
    inventory.touch(0o600)
    inventory.write_text(yaml.safe_dump({"dynamodb_tables": group}, sort_keys=False))
    return inventory


def write_shell(folder: Path) -> Path:
    """What a shell reads to find Ansible and the collection."""
    variables = {name: os.environ[name] for name in ("ANSIBLE_COLLECTIONS_PATH",) if name in os.environ}
    lines = [f". {shlex.quote(sys.prefix)}/bin/activate"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    shell = folder / "activate"
    shell.write_text("\n".join(lines) + "\n")
    return shell


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
