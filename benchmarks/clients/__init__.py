# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clients that are measured, each a process of its own: ``python -m benchmarks.clients.<who> <work> ...``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

REGION = "eu-west-1"
# The servers take any keys; the environment gives these to every client alike.
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAENGINEENGINEENGI", "AWS_SECRET_ACCESS_KEY": "engine-secret", "AWS_REGION": REGION}


@dataclass(frozen=True)
class Task:
    """From where to where; ``units`` is a limit of write units per second, 0 for none, ``workers`` are processes of a
    client that has them. With more than one of ``tables`` their numbers are appended to the names."""

    source_url: str
    source_table: str
    destination_url: str
    destination_table: str
    units: float = 0
    workers: int = 1
    tables: int = 1


def run(works: dict[str, Callable[[Task], int]]) -> None:
    """Do the work of the command line, and print the number of items processed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=works)
    for name in ("source_url", "source_table", "destination_url", "destination_table"):
        parser.add_argument(name)
    parser.add_argument("--units", type=float, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--tables", type=int, default=1)
    arguments = vars(parser.parse_args())
    print(works[arguments.pop("work")](Task(**arguments)))
