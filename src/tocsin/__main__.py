"""`python -m tocsin` is the command line too, for when its script is not on the path."""

import sys

from tocsin.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
