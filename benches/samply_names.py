#!/usr/bin/env python3
"""Names addresses of a program by samply, as the page that shows its profiles
does: asks the server of `samply load` for functions, lines and inlined calls.

    samply_names.py SAMPLY PROFILE PROGRAM < addresses

PROFILE is one that samply made of PROGRAM, for it says which build that is.
Prints what the server answers, one line of JSON.
"""

import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request


def module(profile: str, program: str) -> list[str]:
    """Name and build of the program, as the profile gives them."""
    with open(profile) as file:
        libraries = json.load(file)["libs"]
    found = next(library for library in libraries if library["path"] == program)
    return [found["debugName"], found["breakpadId"]]


def ask(server: str, job: dict) -> bytes:
    request = urllib.request.Request(f"{server}/symbolicate/v5", json.dumps(job).encode())
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def main() -> int:
    samply, profile, program = sys.argv[1:]
    addresses = [int(line, 16) for line in sys.stdin]
    job = {"memoryMap": [module(profile, program)],
           "stacks": [[[0, address] for address in addresses]]}
    with subprocess.Popen([samply, "load", "--no-open", profile], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = (re.search(r"symbolServer=(\S+)", line) for line in process.stdout)
            server = next(found[1] for found in address if found)
            server = urllib.parse.unquote(server)
            sys.stdout.buffer.write(ask(server, {"jobs": [job]}))
        finally:
            process.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
