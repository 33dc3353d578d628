"""Run the examples of the gallery, one after the other, and time each.

    python benchmarks/bench_examples.py [PART OF A PATH] [--pictures DIR]

Each runs in a process of its own, as a reader would run it. A failure, or more than
LIMIT seconds of the processor, makes the script fail; beside them are those of the
clock. With ``--pictures`` the figures are written to DIR, where one can see whether the
text of the example says what is seen.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

LIMIT = 60  # seconds on one core of one's own
EXAMPLES = Path(__file__).parents[1] / "examples"
RUN = """
import runpy, sys
script, pictures = sys.argv[1:]
runpy.run_path(script, run_name="__main__")
if pictures:
    from pathlib import Path
    import matplotlib.pyplot as plt
    for number in plt.get_fignums():
        name = f"{Path(script).stem}_{number}.png"
        plt.figure(number).savefig(Path(pictures) / name, dpi=80)
"""


def processor():
    """Seconds of the processor that the examples took until now."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", default="")
    parser.add_argument("--pictures", default="")
    asked = parser.parse_args()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    if asked.pictures:
        Path(asked.pictures).mkdir(parents=True, exist_ok=True)
    bad = []
    for script in sorted(EXAMPLES.rglob("plot_*.py")):
        name = script.relative_to(EXAMPLES).as_posix()
        if asked.part not in name:
            continue
        start, used = time.perf_counter(), processor()
        command = [sys.executable, "-c", RUN, str(script), asked.pictures]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        clock, seconds = time.perf_counter() - start, processor() - used
        state = "" if done.returncode == 0 else "  FAILED"
        if state or seconds > LIMIT:
            bad.append(name)
        print(f"{seconds:6.1f} s ({clock:5.1f})  {name}{state}", flush=True)
        if asked.part or state:
            print(done.stdout + done.stderr, flush=True)
    sys.exit(f"failed, or slower than {LIMIT} s: {bad}" if bad else 0)


if __name__ == "__main__":
    main()
