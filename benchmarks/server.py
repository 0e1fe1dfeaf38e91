"""Mixed requests to `tfdeepfake serve`, a tenth of them malformed: no 5xx, steady memory, and how long they take.

    python benchmarks/server.py MODEL VIDEO ... [--requests 10000] [--at-once 16] [--minutes 60]

MODEL is a folder that `tfdeepfake export` wrote, of a network of single frames. Of the requests 40 % are crops as
tensors, 30 % crops as JPEG files, 14 % questions (status, metadata, health), 6 % videos, half of them damaged by the
rules of `mutations.py`; 10 % are malformed: JSON that ends early, wrong types and shapes, bytes that are no image,
paths that are not there, forms without an end, connections that are cut. Videos are followed to their verdict; a
request that is answered with 429 is made again a second later. Fails when an answer is 5xx, when a video has no status,
when files are left behind, or when memory after the first tenth of the requests grows by more than a tenth.
"""

import argparse
import base64
import collections
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from mutations import MUTATIONS
from PIL import Image

COMMAND = [sys.executable, "-m", "tfdeepfake.cli", "serve"]


class Traffic:
    """Makes requests and counts what came of them."""

    def __init__(self, port, name, shape, videos, seed):
        self.port, self.name, self.shape, self.videos, self.seed = port, name, shape, videos, seed
        self.lock, self.next, self.seconds = threading.Lock(), 0, collections.defaultdict(list)
        self.answers, self.statuses, self.wrong = collections.Counter(), collections.Counter(), []
        self.again, self.made = 0, 10**9

    def work(self, count, end, on_step):
        """Makes requests until `count` have been made by all threads together, or until the time `end`."""
        while True:
            with self.lock:
                number, self.next = self.next, self.next + 1
            if number >= count or time.perf_counter() > end:
                with self.lock:
                    self.made = min(self.made, number)
                return
            on_step(number)
            rng = np.random.default_rng([self.seed, number])
            kind = rng.choice(["tensors", "jpeg", "question", "video", "malformed"], p=[0.4, 0.3, 0.14, 0.06, 0.1])
            try:
                getattr(self, f"_{kind}")(rng)
            except Exception as error:
                self.wrong.append(f"{kind} {number}: {type(error).__name__} {error}")

    def ask(self, kind, method, path, body=None, headers=None):
        """(status, body); 429 is asked again."""
        while True:
            start = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
            try:
                connection.request(method, path, body, headers or {})
                answer = connection.getresponse()
                status, content = answer.status, answer.read()
            finally:
                connection.close()
            with self.lock:
                self.answers[kind, status] += 1
                if status >= 500:
                    self.wrong.append(f"{kind}: {method} {path} was answered with {status}: {content[:200]}")
                if status != 429:
                    self.seconds[kind].append(time.perf_counter() - start)
                    return status, content
                self.again += 1
            time.sleep(1)

    def _crops(self, rng):
        return rng.integers(0, 256, (int(rng.integers(1, 4)), *self.shape), np.uint8)

    def _predict(self, kind, body, path=""):
        return self.ask(kind, "POST", f"/v1/models/{self.name}{path}:predict", body)

    def _tensors(self, rng):
        self._predict("tensors", json.dumps({"inputs": self._crops(rng).tolist()}))

    def _jpeg(self, rng):
        files = []
        for crop in self._crops(rng):
            stream = io.BytesIO()
            Image.fromarray(crop).save(stream, "JPEG")
            files.append({"b64": base64.b64encode(stream.getvalue()).decode()})
        self._predict("jpeg", json.dumps({"signature_name": "serve_jpeg", "instances": files}))

    def _question(self, rng):
        at = f"/v1/models/{self.name}"
        self.ask("question", "GET", rng.choice([at, f"{at}/metadata", "/healthz", "/metrics", "/v1/videos/none"]))

    def _video(self, rng):
        content = self.videos[rng.integers(len(self.videos))]
        if rng.random() < 0.5:
            content = MUTATIONS[rng.choice(list(MUTATIONS))](content, rng)
        status, answer = self.ask("video", "POST", "/v1/videos", content, {"X-File-Name": "clip.mp4"})
        start, job = time.perf_counter(), json.loads(answer)
        if status != 202:
            return
        while job["state"] not in ("done", "stopped"):
            time.sleep(0.2)
            job = json.loads(self.ask("poll", "GET", job["links"]["self"])[1])
        with self.lock:
            self.seconds["verdict"].append(time.perf_counter() - start)
            self.statuses[(job["verdict"] or {}).get("status", "none")] += 1

    def _malformed(self, rng):
        one = json.dumps({"inputs": self._crops(rng).tolist()})
        choice = int(rng.integers(10))
        if choice == 0:
            self._predict("malformed", one[: int(rng.integers(1, len(one)))])
        elif choice == 1:
            self._predict("malformed", json.dumps({"inputs": self._crops(rng)[:, :-1].tolist()}))
        elif choice == 2:
            bad = rng.choice(["aGVsbG8=", "!!", "/9j/4AAQ"])
            self._predict("malformed", json.dumps({"signature_name": "serve_jpeg", "instances": [{"b64": bad}]}))
        elif choice == 3:
            self._predict("malformed", rng.bytes(2000))
        elif choice == 4:
            self._predict(
                "malformed", one, rng.choice(["/versions/77", "/labels/none", "/versions/99999999999999999999"])
            )
        elif choice == 5:
            self.ask("malformed", "POST", "/v1/models/other:predict", one)
        elif choice == 6:
            kind = {"content-type": "multipart/form-data; boundary=x"}
            self.ask("malformed", "POST", "/v1/videos", b"--x\r\ncontent-disposition: form-data\r\n\r\nabc", kind)
        elif choice == 7:
            self.ask("malformed", rng.choice(["PUT", "DELETE", "PATCH"]), "/v1/videos")
        elif choice == 8:
            self.ask("malformed", "GET", "/" + "".join(rng.choice(list("abc/.%2f:"), 30)))
        else:
            with socket.create_connection(("127.0.0.1", self.port), 30) as cut:
                cut.sendall(
                    b"POST /v1/videos HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 90000\r\n\r\n" + rng.bytes(5000)
                )
            self.answers["malformed", "cut"] += 1


def memory_mib(process_id):
    """Resident memory of a process and its children."""
    children = collections.defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                children[int((entry / "stat").read_text().rpartition(")")[2].split()[1])].append(int(entry.name))
            except OSError:
                continue
    total, waiting = 0, [process_id]
    while waiting:
        one = waiting.pop()
        waiting += children[one]
        try:
            total += int((Path("/proc") / str(one) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            continue
    return total / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=600, help="after which no further request is made")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=8601)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(run(arguments, Path(temporary)))


def run(arguments, temporary):
    """Starts the server, makes the requests, stops it, prints what there is to say. Returns the exit code."""
    recipe = json.loads((arguments.model / "recipe.json").read_text())
    shape = (recipe["data"]["height_px"], recipe["data"]["width_px"], 3)
    log = open(temporary / "log", "w")
    environment = {**os.environ, "TMPDIR": str(temporary)}
    command = [*COMMAND, str(arguments.model), "--port", str(arguments.port), "--max-queue", "8"]
    server = subprocess.Popen(command, stderr=log, env=environment)
    videos = [path.read_bytes() for path in arguments.videos]
    traffic = Traffic(arguments.port, arguments.model.resolve().name, shape, videos, arguments.seed)
    memory, start = [], time.perf_counter()
    try:
        wait_until_ready(arguments.port)
        started = time.perf_counter()
        end = started + 60 * arguments.minutes

        def on_step(number):
            if number % max(1, arguments.requests // 20) == 0:
                memory.append((number, memory_mib(server.pid)))

        threads = [
            threading.Thread(target=traffic.work, args=(arguments.requests, end, on_step))
            for _ in range(arguments.at_once)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ended = time.perf_counter()
        memory.append((traffic.made, memory_mib(server.pid)))
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
        log.close()
    wrong = list(traffic.wrong) + ([f"the server ended with {code}"] if code else [])
    if traffic.statuses["none"]:
        wrong.append(f"{traffic.statuses['none']} videos have no status")
    if left := [path.name for path in temporary.iterdir() if path.name != "log"]:
        wrong.append(f"left behind: {left}")
    early = next(value for number, value in memory if number >= traffic.made // 10)
    late = memory[-1][1]
    if late > 1.1 * early:
        wrong.append(f"memory grew from {early:.0f} to {late:.0f} MiB")
    print(
        f"{traffic.made} requests, {arguments.at_once} at once: {ended - started:.0f} s, "
        f"ready after {started - start:.0f} s"
    )
    for kind, seconds in sorted(traffic.seconds.items()):
        p50, p95, p99 = np.percentile(seconds, (50, 95, 99)) * 1000
        print(f"{kind:<10} {len(seconds):>6}   p50 {p50:>8.0f} ms   p95 {p95:>8.0f}   p99 {p99:>8.0f}")
    codes = collections.Counter()
    for (_, status), count in traffic.answers.items():
        codes[str(status)] += count
    print("answers:", ", ".join(f"{count} x {status}" for status, count in sorted(codes.items())))
    print("videos:", ", ".join(f"{count} {status}" for status, count in traffic.statuses.items()))
    print("memory, MiB:", ", ".join(f"{value:.0f} after {number}" for number, value in memory))
    for problem in wrong[:20]:
        print(problem, file=sys.stderr)
    return 1 if wrong else 0


def wait_until_ready(port):
    """Returns when the network is loaded; raises TimeoutError after three minutes."""
    for _ in range(900):
        time.sleep(0.2)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            continue
        finally:
            connection.close()
    raise TimeoutError("the server is not ready.")


if __name__ == "__main__":
    main()
