"""Entry point: a command line does its job and ends; without one the window opens."""

import gc
import sys


def main() -> None:
    """Starts Reelwright."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0].endswith(".reel"):
        gc.disable()  # nothing is let go during the start, and looking costs a tenth of it
        from desktop.shell import run_window

        sys.exit(run_window(arguments))
    try:
        from desktop.cli import run

        sys.exit(run(arguments))
    except KeyboardInterrupt:  # before there was anything to cancel
        sys.exit(130)


if __name__ == "__main__":
    main()
