"""python -m tests.golden DIR... [--dump OUT]: run recorded cases and say how far off each is."""

import argparse
import sys
from pathlib import Path

from tests.golden.runner import report


def main() -> int:
    """Exit status: 0 if every case passed, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("places", metavar="DIR", type=Path, nargs="+", help="a case, or its folder")
    parser.add_argument("--dump", metavar="OUT", type=Path, help="write each case's outputs here")
    asked = parser.parse_args()
    return 0 if report(asked.places, asked.dump) else 1


if __name__ == "__main__":
    sys.exit(main())
