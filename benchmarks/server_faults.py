"""What breaks around `tfdeepfake serve`: killed processes, cut connections, a full disk, damaged videos; then the next.

    python benchmarks/server_faults.py MODEL VIDEO [--kills 100] [--cuts 100] [--mutated 500] [--minutes 600]

MODEL is what `tfdeepfake serve` takes, VIDEO one that it scores. Kills: while a video is judged, its process is killed;
the video has to get a status, and another is judged after every tenth. Cuts: uploads whose connection ends in their
middle, plain ones and resumable ones in turns. Full disk: the server's folder for temporary files is a file system of
6 MB (Linux, root), which an upload does not fit into. Damaged: copies by the rules of `mutations.py`, each of which has
to get a status. Fails when an answer is 5xx but for 507 of the full disk, when a whole video is not scored afterwards,
or when files or open jobs are left.
"""

import argparse
import collections
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from mutations import MUTATIONS
from server import COMMAND, wait_until_ready

TUS = {"Tus-Resumable": "1.0.0"}
RESUME_S = 3


class Server:
    """A running server; `folder` is where its temporary files lie."""

    def __init__(self, model, port, folder):
        self.port, self.folder = port, folder
        command = [*COMMAND, str(model), "--port", str(port), "--no-tensors", "--resume-limit-s", str(RESUME_S)]
        environment = {**os.environ, "TMPDIR": str(folder)}
        self.process = subprocess.Popen([*command, "--keep-minutes", "5"], stderr=subprocess.DEVNULL, env=environment)
        wait_until_ready(port)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has all
            connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status >= 500 and answer.status != 507:
            sys.exit(f"{method} {path} was answered with {answer.status}: {content[:200]}")
        return answer.status, content

    def send(self, content):
        """The job of a video; waits while the server is full."""
        while (answer := self.ask("POST", "/v1/videos", content, {"X-File-Name": "clip.mp4"}))[0] == 429:
            time.sleep(1)
        return json.loads(answer[1]) if answer[0] == 202 else {"refused": answer[0]}

    def verdict(self, job, until=("done", "stopped")):
        while (said := json.loads(self.ask("GET", job["links"]["self"])[1]))["state"] not in until:
            time.sleep(0.05)
        return said

    def judge(self, content):
        """Status of a video; its verdict is deleted."""
        job = self.send(content)
        verdict = self.verdict(job)["verdict"]
        self.ask("DELETE", job["links"]["self"])
        return verdict["status"], verdict["reason"]

    def judging_process(self):
        """Number of the process that judges."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            children += (task / "children").read_text().split()
        for child in map(int, set(children)):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
        return None

    def must_be_clean(self, what):
        """Ends the benchmark where a job is open or a file is left."""
        told = self.ask("GET", "/metrics")[1].decode()
        open_jobs = int(re.search(r"^tfdeepfake_videos_open (\d+)", told, re.M)[1])
        left = [path.name for path in self.folder.glob("tfdeepfake-serve-*/*") if path.name != "lock"]
        if open_jobs or left:
            sys.exit(f"{what}: {open_jobs} open jobs, left behind: {left}")


def kills(server, video, count, end):
    statuses, number = collections.Counter(), 0
    while number < count and time.perf_counter() < end:
        job = server.send(video)
        server.verdict(job, ("running", "done"))
        if (process := server.judging_process()) is not None:
            os.kill(process, signal.SIGKILL)
        verdict = server.verdict(job)["verdict"]
        statuses[verdict["status"], "SIGKILL" in verdict["reason"]] += 1
        server.ask("DELETE", job["links"]["self"])
        number += 1
        if number % 10 == 0 and (said := server.judge(video))[0] != "scored":
            sys.exit(f"after {number} kills a whole video is {said}")
    server.must_be_clean("kills")
    told = ", ".join(f"{n} {status}{' (killed)' if killed else ''}" for (status, killed), n in statuses.items())
    print(f"{number} kills: {told}; every tenth was followed by a whole video, scored; nothing left", flush=True)


def cuts(server, video, count):
    for number in range(count):
        if number % 2:
            headers = {**TUS, "Upload-Length": str(len(video))}
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request("POST", "/v1/videos", b"", headers)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            if answer.status == 429:
                time.sleep(RESUME_S)
                continue
            kind = "Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\nTus-Resumable: 1.0.0\r\n"
            line = f"PATCH {answer.getheader('Location')}"
        else:
            kind, line = "", "POST /v1/videos"
        head = f"{line} HTTP/1.1\r\nHost: 127.0.0.1\r\n{kind}Content-Length: {len(video)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", server.port), 30) as cut:
            cut.sendall(head + video[: len(video) // 2])
    time.sleep(2 * RESUME_S)
    server.must_be_clean("cuts")
    said = server.judge(video)
    print(f"{count} cut connections: nothing left; the next video: {said[0]}", flush=True)
    return said[0] == "scored"


def full_disk(model, port, video, temporary):
    folder = temporary / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(folder)]).returncode:
        print("full disk: no file system could be mounted")
        return True
    server = Server(model, port, folder)
    try:
        large = server.send(video + bytes(20 << 20)).get("refused")
        length = {**TUS, "Upload-Length": str(20 << 20)}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/v1/videos", b"", length)
        answer = connection.getresponse()
        answer.read()
        kind = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
        resumable = server.ask("PATCH", answer.getheader("Location"), bytes(20 << 20), kind)[0]
        server.must_be_clean("full disk")
        # Full but for what the video takes: it arrives, and its verdict cannot be written.
        free = os.statvfs(folder)
        (folder / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - len(video) - 40_000))
        late = server.judge(video)
        (folder / "filler").unlink()
        said = server.judge(video)
        server.must_be_clean("full disk")
        print(
            f"full disk: uploads {large} and {resumable}; one that left no room: {late}; the next video: {said[0]}",
            flush=True,
        )
        return large == resumable == 507 and said[0] == "scored"
    finally:
        server.end()
        subprocess.run(["umount", str(folder)], check=True)


def damaged(server, video, count, end):
    rng, statuses, seconds = np.random.default_rng(0), collections.Counter(), []
    while statuses.total() < count and time.perf_counter() < end:
        content = MUTATIONS[rng.choice(list(MUTATIONS))](video, rng)
        start = time.perf_counter()
        if not content:
            statuses[server.send(content)["refused"]] += 1
            continue
        statuses[server.judge(content)[0]] += 1
        seconds.append(time.perf_counter() - start)
    server.must_be_clean("damaged videos")
    told = ", ".join(f"{n} {status}" for status, n in statuses.most_common())
    print(f"{statuses.total()} damaged videos: {told}; the slowest took {max(seconds, default=0):.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("video", type=Path)
    for name, count in (("kills", 100), ("cuts", 100), ("mutated", 500)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--minutes", type=float, default=600, help="for the damaged videos, and for the kills")
    parser.add_argument("--port", type=int, default=8621)
    arguments = parser.parse_args()
    video, fine = arguments.video.read_bytes(), True
    with tempfile.TemporaryDirectory() as temporary:
        temporary = Path(temporary)
        fine &= full_disk(arguments.model, arguments.port + 1, video, temporary)
        (temporary / "server").mkdir()
        server = Server(arguments.model, arguments.port, temporary / "server")
        try:
            fine &= cuts(server, video, arguments.cuts)
            end = time.perf_counter() + 60 * arguments.minutes
            damaged(server, video, arguments.mutated, end)
            kills(server, video, arguments.kills, end + 60 * arguments.minutes)
        finally:
            code = server.end()
        left = [path.name for path in (temporary / "server").iterdir()]
        print(f"the server ended with {code}; left in its folder: {left or 'nothing'}")
    sys.exit(not fine or bool(code or left))


if __name__ == "__main__":
    main()
