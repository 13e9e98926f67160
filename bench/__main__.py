"""Run the benches: `python -m bench [name ...] [--runs N]`.

Each bench is a module of this package with `measure() -> dict[str, float]`, whose figures are
rates (more is better) or seconds (ending in `_s`), and `RATIOS` and `DIFFERENCES`, the pairs to
compare. The median of the runs is what counts: the machine may be shared.
"""

import argparse
import importlib
import pkgutil
import statistics
import sys

import bench


def names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if m.name[0] != "_")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the hub beside a yardstick.")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(names()))
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    for name in options.names or names():
        module = importlib.import_module(f"bench.{name}")
        print(f"== {name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        runs: list[dict[str, float]] = []
        for number in range(options.runs):
            runs.append(module.measure())
            shown = ", ".join(f"{key} {value:.4g}" for key, value in runs[-1].items())
            print(f"  run {number + 1}: {shown}", flush=True)
        for ours, yardstick in module.RATIOS:
            ratio = statistics.median(run[ours] / run[yardstick] for run in runs)
            print(f"  {ours} / {yardstick}: {ratio:.2f} (median of {len(runs)})", flush=True)
        for ours, yardstick in getattr(module, "DIFFERENCES", ()):
            above = statistics.median(run[ours] - run[yardstick] for run in runs)
            print(f"  {ours} - {yardstick}: {above:.4f} (median of {len(runs)})", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
