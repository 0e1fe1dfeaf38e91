"""Verdicts over a folder: videos a second with files looked at ahead of the network, and the memory of a long run.

    python benchmarks/folder.py MODEL FOLDER [--files 40] [--rounds 2]
    python benchmarks/folder.py MODEL FOLDER --files 300 --memory

MODEL is a saved model folder. Files are those of the folder, again and again up to `--files`. The ways take turns, so
that what else the machine does meets all of them; CPU seconds, those of the processes and their start included, tell
what a way costs whatever else runs; `bare decoder` reads the frames that verdicts look at, and nothing
else, in one and in two processes. `--memory` prints how much this process has after so many files, and its processes.
"""

import argparse
import itertools
import resource
import time
from pathlib import Path

from tfdeepfake.data import video
from tfdeepfake.data.video.walk import walk
from tfdeepfake.verdict.batch import load_network
from tfdeepfake.verdict.isolated import lookers
from tfdeepfake.verdict.judging import judge, judge_looked
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.workers import imap_ordered

WAYS = {
    "here, one after another": {"workers": 0},
    "1 process ahead": {"workers": 1},
    "2 processes ahead": {"workers": 2},
    "1 process, isolated": {"isolate": True},
    "2 processes, isolated": {"isolate": True, "workers": 2},
}


def decoded(path):
    """Frames of a file, as many as a verdict looks at."""
    try:
        return len(video.read_frames(path, video.spaced_indices(video.probe(path).frame_count, 16)))
    except video.VideoError:
        return 0


def bare(paths, processes):
    """Seconds for reading the frames alone; the processes have started by then."""
    done = imap_ordered(decoded, [paths[0], *[str(p) for p in paths]], processes)
    next(done)
    start = time.perf_counter()
    list(done)
    return time.perf_counter() - start


def verdicts(paths, network, settings):
    """Yields (seconds since the processes were there, verdict)."""
    processes = settings.workers or int(settings.isolate)
    if not processes:
        start = time.perf_counter()
        for path in paths:
            verdict = judge(path, network.model, network.recipe, network.detect, settings)
            yield time.perf_counter() - start, verdict
        return
    looking = lookers(network, settings, settings.isolate, processes)
    start = None
    for path, looked in looking.ahead([paths[0]] * processes + list(paths)):
        if start is None:
            start = time.perf_counter()
        yield time.perf_counter() - start, judge_looked(path, looked, network.model, network.recipe, settings)


def cpu_s():
    """CPU seconds of this process and of those of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def resident_mb(process="self"):
    """Memory of a process and its children, MB: [own, *children]."""
    own = 0
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            own = int(line.split()[1]) >> 10
    children = [
        child
        for task in Path(f"/proc/{process}/task").iterdir()
        for child in (task / "children").read_text().split()
        if (task / "children").exists()
    ]
    return [own, *(resident_mb(child)[0] for child in children)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    paths = list(itertools.islice(itertools.cycle(walk(arguments.folder).media), arguments.files))
    network = load_network(arguments.model, num_files=len(paths))
    if arguments.memory:
        for name in ("here, one after another", "2 processes ahead", "1 process, isolated"):
            settings = JudgeSettings(**WAYS[name])
            for number, _ in enumerate(verdicts(paths, network, settings), start=1):
                if number in (1, 10, 30) or number % 50 == 0:
                    print(f"{name}: {number} files, {resident_mb()} MB", flush=True)
        return
    seconds, spent = {}, {}
    for _ in range(arguments.rounds):
        for name, chosen in WAYS.items():
            before = cpu_s()
            took = [at for at, _ in verdicts(paths, network, JudgeSettings(**chosen))][-1]
            seconds[name] = min(took, seconds.get(name, took))
            spent[name] = min(cpu_s() - before, spent.get(name, 1e9))
        for processes in (1, 2):
            name = f"bare decoder, {processes} process{'es' if processes > 1 else ''}"
            before = cpu_s()
            took = bare(paths, processes)
            seconds[name] = min(took, seconds.get(name, took))
            spent[name] = min(cpu_s() - before, spent.get(name, 1e9))
    for name, took in seconds.items():
        print(f"{name:<26} {len(paths) / took:6.2f} videos/s {spent[name] / len(paths):6.2f} CPU s a video")


if __name__ == "__main__":
    main()
