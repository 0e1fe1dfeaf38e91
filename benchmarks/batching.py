"""What putting requests together gains: `tfdeepfake serve` with and without, and the network by itself.

    python benchmarks/batching.py MODEL [--at-once 16] [--seconds 12] [--rounds 2] [--max-batch-size 8 ...]

MODEL is a folder that `tfdeepfake export` wrote, of a network of single frames. A server is started for each size, and
one with --max-batch-size 1; each is asked by so many clients at once, one crop as a JPEG file in a request, in turns.
Beside it stands what the SavedModel gains without any server: images/s of calls of several sizes, and of two threads.
"""

import argparse
import base64
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image
from server import COMMAND, wait_until_ready


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--max-batch-size", type=int, nargs="+", default=[8])
    parser.add_argument("--port", type=int, default=8611)
    parser.add_argument("--network-seconds", type=float, default=4, help="for each size of call; 0 leaves it out")
    arguments = parser.parse_args()
    if arguments.network_seconds:
        alone(arguments.model, arguments.network_seconds)
    served(arguments)


def served(arguments):
    """Prints requests/s of both servers and their ratio."""
    recipe = json.loads((arguments.model / "recipe.json").read_text())["data"]
    rng, body = np.random.default_rng(0), []
    for _ in range(8):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (recipe["height_px"], recipe["width_px"], 3), np.uint8)).save(
            stream, "JPEG"
        )
        one = {"b64": base64.b64encode(stream.getvalue()).decode()}
        body.append(json.dumps({"signature_name": "serve_jpeg", "instances": [one]}))
    servers, rates = {}, {size: [] for size in (1, *arguments.max_batch_size)}
    try:
        for number, size in enumerate(rates):
            port = arguments.port + number
            command = [*COMMAND, str(arguments.model), "--port", str(port), "--max-batch-size", str(size)]
            servers[size] = port, subprocess.Popen(command, stderr=subprocess.DEVNULL)
            wait_until_ready(port)
            ask(port, arguments.model.resolve().name, body, arguments.at_once, 3)
        for _ in range(arguments.rounds):
            for size, (port, _) in servers.items():
                rate, late = ask(port, arguments.model.resolve().name, body, arguments.at_once, arguments.seconds)
                rates[size].append(rate)
                print(f"--max-batch-size {size}: {rate:.2f} requests/s, p50 / p95 {late[0]:.2f} / {late[1]:.2f} s")
        for size, (port, _) in servers.items():
            print(f"--max-batch-size {size}: {requests_in_a_call(port)}")
    finally:
        for _, process in servers.values():
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    for size in arguments.max_batch_size:
        ratio = np.mean(rates[size]) / np.mean(rates[1])
        print(f"{arguments.at_once} at once, --max-batch-size {size}: {ratio:.2f} times the requests/s of one by one")


def ask(port, name, bodies, at_once, seconds):
    """(requests/s, (p50, p95) in s) of so many clients, each of which asks again as soon as it is answered."""
    end, took, lock = time.perf_counter() + seconds, [], threading.Lock()

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while (start := time.perf_counter()) < end:
            connection.request("POST", f"/v1/models/{name}:predict", bodies[number % len(bodies)])
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                sys.exit(f"{answer.status}: {content[:200]}")
            with lock:
                took.append(time.perf_counter() - start)
        connection.close()

    start = time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(took) / (time.perf_counter() - start), np.percentile(took, (50, 95))


def requests_in_a_call(port):
    """How many requests a call of the network had in the mean, as /metrics tells it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    told = dict(
        re.findall(r"^tfdeepfake_(batches|batched_requests) (\S+)$", connection.getresponse().read().decode(), re.M)
    )
    connection.close()
    return f"{float(told['batched_requests']) / float(told['batches']):.2f} requests a call" if told else "one by one"


def alone(folder, seconds):
    """Prints images/s of the SavedModel in this process."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from tfdeepfake.serving.servable import Servable

    servable, rng = Servable(folder), np.random.default_rng(0)
    version = servable.versions[-1]
    shape = servable.inputs(version, "")["frames"].shape[1:]

    def work(size, end, counts):
        frames = {"frames": rng.integers(0, 256, (size, *shape), np.uint8)}
        while time.perf_counter() < end:
            servable.predict(version, "", frames)
            counts.append(size)

    for num_threads, size in ((1, 1), (1, 2), (1, 4), (1, 8), (1, 16), (2, 1), (2, 2), (2, 4), (2, 8)):
        work(size, time.perf_counter() + 0.1, [])  # its first call makes the kernels of this size
        start, counts = time.perf_counter(), []
        threads = [threading.Thread(target=work, args=(size, start + seconds, counts)) for _ in range(num_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = sum(counts) / (time.perf_counter() - start)
        print(f"network alone, {num_threads} at once, calls of {size:>2}: {rate:6.2f} images/s", flush=True)


if __name__ == "__main__":
    main()
