"""Stores what `tfdeepfake models` prints without building anything: inputs, parameters and MACs of every network.

    python benchmarks/model_table.py [--network NAME ...]

Writes tfdeepfake/profiling/networks.json, a row for each network at its default size and one for each line of P3
Table 6 and P4 Table 6. To be run when a network is added or changed (4 minutes on 2 cores for all); with --network the
rows of those are replaced and the others stay.
"""

import argparse

from tqdm import tqdm

from tfdeepfake.files import write_json
from tfdeepfake.quiet import load_tensorflow


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", help="network whose rows are made again (default: all)")
    chosen = parser.parse_args().network
    load_tensorflow()
    from tfdeepfake import models
    from tfdeepfake.profiling import table

    stored = table.stored_rows() if chosen else {}
    rows = {}
    wanted = [(name, {}) for name in models.MODELS] + [(line.network, line.arguments) for line in table.PRINTED]
    for name, arguments in tqdm(wanted, unit="network"):
        key = (name, table.arguments_text(arguments))
        fresh = chosen is None or name in chosen or key not in stored
        row = table.row(name, arguments, latency=False) if fresh else stored[key]
        row |= {"gmacs": round(row["gmacs"], 9), "gflops": round(row["gflops"], 9)}
        rows[key] = {column: cell for column, cell in row.items() if cell is not None}
    write_json(table.STORED, {"rows": list(rows.values())})


if __name__ == "__main__":
    main()
