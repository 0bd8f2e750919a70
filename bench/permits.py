#!/usr/bin/env python3
"""What permits cost: the same load without policies, and under 10,000 of them that narrow what is seen.

    python3 bench/permits.py [--entities 100000] [--policies 10000] [--seconds 10]

One server, one run, so that the ratio says something on a noisy machine: each workload is measured in turns as
the local operator (who sees everything) and as a program whose policies show one type, with one attribute
hidden, while thousands of policies are about others. A decision is made once and kept; what is measured is what
it costs in each request.
"""

import argparse
import http.client
import json
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

KINDS = ("retrieve", "query", "near")


def ask(port, token, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise SystemExit(f"{method} {path} was answered {answer.status}: {text[:300]!r}")
    return json.loads(text) if text else None


def measure(options, port, pid, token, kind, preload=False):
    command = [
        options.renkei, "bench", "--url", f"http://127.0.0.1:{port}", "--workload", kind,
        "--connections", "64", "--entities", str(options.entities), "--seconds", str(options.seconds),
        "--pid", str(pid), "--header", f"Authorization: Bearer {token}",
    ] + (["--preload"] if preload else [])
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"renkei bench {kind} failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--renkei", default=str(Path(__file__).resolve().parent.parent / "target/release/renkei"))
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--policies", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=10, help="each measurement (10)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind, in turns (3)")
    options = parser.parse_args()
    folder = tempfile.mkdtemp()
    command = [options.renkei, "serve", "--data", f"{folder}/city", "--listen", "127.0.0.1:0", "--log", "warn"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        operator = Path(f"{folder}/city/keys/operator.token").read_text().strip()
        measure(options, port, server.pid, operator, "retrieve", preload=True)
        kinds = ask(port, operator, "GET", "/ngsi-ld/v1/types")["typeList"]
        for number in range(options.policies):
            words = f"company-{number} may read {kinds[0]} in /elsewhere, for operation"
            ask(port, operator, "POST", "/trust/v1/policies", {"words": words})
        ask(port, operator, "POST", "/trust/v1/policies", {"words": f"the reader may read {', '.join(kinds)}"})
        ask(port, operator, "POST", "/trust/v1/policies", {"words": f"the reader may not read description of {kinds[0]}"})
        made = ask(port, operator, "POST", "/trust/v1/tokens", {"roles": ["developer"], "organisation": "reader"})
        print(f"{options.entities:,} entities, {options.policies + 2:,} policies, each figure the median of {options.rounds}")
        for kind in KINDS:
            runs = {"everything": [], "in part": []}
            for _ in range(options.rounds):
                for who, token in (("everything", operator), ("in part", made["token"])):
                    runs[who].append(measure(options, port, server.pid, token, kind))
            def median(who, figure):
                return statistics.median(run[figure] for run in runs[who])
            for figure, unit in (("requests_per_s", "/s"), ("server_cpu_us_per_request", " us of the server's processor time")):
                whole, part = median("everything", figure), median("in part", figure)
                print(f"{kind:10} everything {whole:10,.0f}   in part {part:10,.0f}   ratio {part / whole:.2f}{unit}")
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
