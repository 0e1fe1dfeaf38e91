"""The wheel in empty environments, one for each Python: installed from the index, used, used again without a network.

    python benchmarks/install.py [--python python3.11 python3.12] [--extras serve onnx] [--detector meso4_df]
      [--file Meso4_DF.h5] [--keep FOLDER] [--page VIDEO]

For each interpreter: `python -m venv`, `pip install WHEEL` with all its dependencies, `pip check`; then from an empty
folder the Python lines of the README on a drawn clip, and the command; then both once more where no network can be
reached (`unshare -n` where the system allows it, else every connection is refused). With --extras these are installed
and checked afterwards, all together. With --file that file is served on the loopback in the place of the address of
--detector, and its checksum stands for the stored one: a file of the same layout serves. Prints the seconds of each
step as a table. Installing takes two to five minutes each, most of it TensorFlow. With --page, in place of all that,
the three commands from an empty environment to a verdict on an uploaded video: `pip install WHEEL[serve]`, `tfdeepfake
serve DETECTOR` and `curl -F file=@VIDEO .../v1/videos`, with the seconds of each and of all.
"""

import argparse
import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.request
from pathlib import Path

from predict import draw

ROOT = Path(__file__).resolve().parent.parent

# What a person types, behind what puts a file of the loopback in the place of the published one.
LINES = """
import pathlib, sys
name, clip, address, digest, site, network = sys.argv[1:]
if network == "refused":
    import socket
    def refuse(*args):
        raise OSError("no network here")
    socket.socket.connect = socket.create_connection = refuse
import tfdeepfake
assert pathlib.Path(tfdeepfake.__file__).is_relative_to(site), tfdeepfake.__file__
if address:
    import dataclasses
    from tfdeepfake.published.sources import SOURCES
    SOURCES[name] = dataclasses.replace(SOURCES[name], address=address, sha256=digest, num_bytes=None)

detector = tfdeepfake.Detector(name)
verdict = detector(clip)
print(verdict.label, verdict.probability, len(verdict.faces))
written = detector.predict([clip, clip], out_dir="results")
print(written["counts"])
assert verdict.status == "scored" and pathlib.Path("results/index.html").is_file()
"""


# `tfdeepfake serve`, likewise.
SERVE = """
import sys
name, address, digest, *words = sys.argv[1:]
if address:
    import dataclasses
    from tfdeepfake.published.sources import SOURCES
    SOURCES[name] = dataclasses.replace(SOURCES[name], address=address, sha256=digest, num_bytes=None)
from tfdeepfake.cli.main import main
sys.exit(main(["serve", name, *words]))
"""
PORT = 8655


def sources(folder):
    """A copy of what git tracks and what is new: the build writes into its tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    for name in filter(lambda name: name and (ROOT / name).is_file(), listed):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def build_wheel(folder):
    """Path of the wheel."""
    source = str(sources(folder / "source"))
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), source)
    return next(folder.glob("tfdeepfake-*.whl"))


def run(command, **options):
    """Standard output; ends the benchmark with what a failed command said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def pip(python, *words):
    return run([python, "-m", "pip", "-q", "--disable-pip-version-check", *words])


def without_network(command):
    """The command where there is no network, or None where the system does not allow it."""
    apart = ["unshare", "-r", "-n", *command]
    probe = subprocess.run(["unshare", "-r", "-n", "true"], capture_output=True) if shutil.which("unshare") else None
    return apart if probe is not None and probe.returncode == 0 else None


def serve(file):
    """(address of a file on the loopback, its sha256)."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(file.parent))
    handler.log_message = lambda *args: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return f"http://127.0.0.1:{server.server_address[1]}/{file.name}", digest


def check(python, wheel, folder, clip, args, address):
    """[(step, seconds, what was said)] of one interpreter."""
    steps = []

    def step(name, function, *arguments, **options):
        start = time.perf_counter()
        said = function(*arguments, **options)
        steps.append((name, time.perf_counter() - start, (said or "").strip().splitlines()[-1:]))
        print(f"  {name}: {steps[-1][1]:.1f} s {' '.join(steps[-1][2])}", flush=True)

    there, home, place = folder / "environment", folder / "home", folder / "elsewhere"
    place.mkdir(parents=True)
    step("venv", run, [python, "-m", "venv", there])
    inside = there / "bin" / "python"
    step("pip install", pip, inside, "install", wheel)
    step("pip check", run, [inside, "-m", "pip", "check"])
    # Nothing of the checkout or of this environment is seen.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    options = {"cwd": place, "env": environment | {"TFDEEPFAKE_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"}}
    lines = [inside, "-c", textwrap.dedent(LINES), args.detector, clip, *(address or ("", "")), there]
    command = [there / "bin" / "tfdeepfake", "predict", clip, "--model", args.detector]
    step("Python lines", run, [*lines, ""], **options)
    apart = without_network([])
    if apart is None:
        print("  unshare -n is not allowed here: connections are refused in the process instead.")
    step("without a network", run, [*(apart or []), *lines, "" if apart else "refused"], **options)
    step("predict, without one", run, [*(apart or []), *command], **options)
    if args.extras:
        step("pip install extras", pip, inside, "install", f"{wheel}[{','.join(args.extras)}]")
        step("pip check, extras", run, [inside, "-m", "pip", "check"])
    return measured(there, steps)


def page(python, wheel, folder, video, args, address):
    """(version, [(command, seconds, what was said)], bytes of the environment) of the way to the page's verdict."""
    there, place = folder / "environment", folder / "elsewhere"
    place.mkdir(parents=True)
    run([python, "-m", "venv", there])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    options = {"cwd": place, "env": environment | {"TFDEEPFAKE_HOME": str(folder / "home")}}
    start = time.perf_counter()
    pip(there / "bin" / "python", "install", f"{wheel}[serve]")
    installed = time.perf_counter()
    command = [there / "bin" / "python", "-c", SERVE, args.detector, *(address or ("", "")), "--port", str(PORT)]
    server = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL, **options)
    try:
        while not asked("/readyz", "ready"):
            if server.poll() is not None:
                sys.exit(f"the server ended with {server.returncode}")
            time.sleep(0.2)
        ready = time.perf_counter()
        job = json.loads(run(["curl", "-sf", "-F", f"file=@{video}", f"http://127.0.0.1:{PORT}/v1/videos"]))
        while (verdict := asked(job["links"]["self"], "verdict")) is None:
            time.sleep(0.2)
        judged = time.perf_counter()
    finally:
        server.terminate()
        server.wait(60)
    told = [f"{verdict['status']} {verdict['label']} {verdict['probability']}"]
    steps = [("pip install WHEEL[serve]", installed - start, []), ("tfdeepfake serve, ready", ready - installed, [])]
    steps += [("upload and verdict", judged - ready, told), ("all three", judged - start, [])]
    for name, seconds, said in steps:
        print(f"  {name}: {seconds:.1f} s {' '.join(said)}", flush=True)
    return measured(there, steps)


def asked(path, key):
    """A value of what the server answers; None when it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=30) as answer:
            return json.load(answer)[key]
    except OSError:
        return None


def measured(there, steps):
    inside = there / "bin" / "python"
    version = run([inside, "-c", "import sys; print('.'.join(map(str, sys.version_info[:3])))"]).strip()
    size = sum(path.stat().st_size for path in there.rglob("*") if path.is_file() and not path.is_symlink())
    return version, steps, size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="PYTHON")
    parser.add_argument("--extras", nargs="+", default=[])
    parser.add_argument("--detector", default="meso4_df")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--keep", type=Path, help="a new folder for the environments, which stay there")
    parser.add_argument("--page", type=Path, metavar="VIDEO", help="the three commands to the page's verdict on it")
    args = parser.parse_args()
    address = serve(args.file.resolve()) if args.file else None
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        wheel, clip = build_wheel(folder), folder / "clip.mp4"
        draw(clip, seconds=2)
        tables = []
        for number, python in enumerate(args.python):
            print(python, flush=True)
            way, video = (page, args.page.resolve()) if args.page else (check, clip)
            tables.append(way(python, wheel, folder / str(number), video, args, address))
    print("\n| step | " + " | ".join(f"Python {version}" for version, _, _ in tables) + " |")
    print("|---|" + "---|" * len(tables))
    for rows in zip(*(steps for _, steps, _ in tables), strict=True):
        print(f"| {rows[0][0]} | " + " | ".join(f"{seconds:.1f} s" for _, seconds, _ in rows) + " |")
    print("| environment | " + " | ".join(f"{size / 1e9:.2f} GB" for _, _, size in tables) + " |")


if __name__ == "__main__":
    main()
