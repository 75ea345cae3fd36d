# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m lab``: start the lab by hand, print how to reach it, and serve until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.assembly import build_world
from lab.landscape import DEFAULT_SCALE, REGION, settle
from lab.server import LabServer


def timing(text: str) -> tuple[str, float]:
    """``name=seconds`` as a pair; ValueError for anything else."""
    name, equals, seconds = text.partition("=")
    if not equals:
        raise ValueError(text)
    return name, float(seconds)


def arguments_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, parsed."""
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description="AWS accounts on 127.0.0.1 to rehearse with: two, their organization's management, one outside.",
        epilog="Prints one JSON document with the endpoint, the accounts, their keys and roles, then serves.",
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one (default)")
    parser.add_argument(
        "--scale",
        type=float,
        default=DEFAULT_SCALE,
        help="factor for the durations that were measured on AWS; 1 is as slow as AWS (default %(default)s)",
    )
    parser.add_argument(
        "--timing", type=timing, action="append", default=[], metavar="NAME=SECONDS", help="fix one duration"
    )
    parser.add_argument("--ready-file", type=Path, help="also write the JSON document there, once requests are served")
    parser.add_argument(
        "--region", default=REGION, help="Region of the rehearsal, whose partition the accounts are in (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of generated names and keys")
    parser.add_argument("--no-quotas", action="store_true", help="turn AWS's limits and throttles off")
    return parser.parse_args(arguments)


def write_ready_file(path: Path, landscape: dict[str, Any]) -> None:
    """Write the document in one step, readable only by its owner: it holds secret keys."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(landscape, stream, indent=2)
    unfinished.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; 2 for a timing that does not exist or a port that is taken."""
    options = arguments_of(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    world = build_world(seed=options.seed, scale=options.scale, quotas=not options.no_quotas)
    try:
        for name, seconds in options.timing:
            world.timings.set(name, seconds)
        landscape = settle(world, options.region)
        with LabServer(world, options.port) as server:
            ready = {"endpoint_url": server.endpoint_url, "pid": os.getpid(), **landscape}
            print(json.dumps(ready, indent=2), flush=True)
            if options.ready_file:
                write_ready_file(options.ready_file, ready)
            stop.wait()
    except (KeyError, ValueError, OSError) as mistake:
        print(mistake.args[-1], file=sys.stderr)
        return 2
    finally:
        world.close()
        if options.ready_file:
            options.ready_file.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
