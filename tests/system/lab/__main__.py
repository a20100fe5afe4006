"""`python3 -m lab clean` removes what killed laboratories left behind."""
import sys

from .namespaces import clean

if sys.argv[1:] != ["clean"]:
    sys.exit("usage: python3 -m lab clean")
for name in clean():
    print(f"removed {name}")
