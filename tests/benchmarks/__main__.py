"""Tables of ratios; never a verdict by the clock.

python -m tests.benchmarks [NAME …] [--json]
"""

import argparse
import dataclasses
import importlib
import json
import os
import platform
import sys

from tests.benchmarks.table import Table, Unavailable

NAMES = (
    "export",
    "pingpong",
    "gif",
    "seek",
    "start",
    "kills",
    "flashvsr",
    "flashvsr_memory",
    "wan",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=str(NAMES))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    tables: dict[str, Table] = {}
    missing: dict[str, str] = {}
    for name in asked.names or NAMES:
        measure = importlib.import_module(f"tests.benchmarks.{name}").measure
        try:
            tables[name] = measure()
        except Unavailable as reason:
            missing[name] = str(reason)
        if not asked.json:
            print(tables[name].text() if name in tables else f"{name}: {missing[name]}", flush=True)
            print(flush=True)
    if asked.json:
        machine = {"cores": os.cpu_count(), "machine": platform.machine()}
        told = {name: dataclasses.asdict(table) for name, table in tables.items()}
        print(json.dumps({"machine": machine, "tables": told, "unavailable": missing}, indent=2))
    return 1 if missing and not tables else 0


if __name__ == "__main__":
    sys.exit(main())
