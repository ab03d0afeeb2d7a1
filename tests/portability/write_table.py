"""Write what runs of the matrix found into docs and README: python tests/portability/write_table.py FOUND.json …"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from matrix.table import Table

if __name__ == "__main__":
    table = Table.published()
    for place in sys.argv[1:]:
        table = table.updated(Table.kept(Path(place)))
    table.write()
    print(f"{len(table.cells)} cells are known, {len(table.missing())} are not.")
