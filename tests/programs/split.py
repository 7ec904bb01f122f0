"""CPU-bound Python with known shares of functions and lines.

    <module> > main > run > hot   70 %
                          > warm  20 %
                          > cold  10 %
                    > lines        70, 20 and 10 % of it by line
                    > Sorter.sort > sorted() > Sorter.key.<locals>.<lambda> > cold
                    > libraries    each line in a library of its own
                    > deep > … > deep > work
                    > naps > nap   80 and 20 % of the time asleep by line
             > wait_for_ever       in the first thread, while another one naps or two
                                   compute
                    > turns > work in each of these two, which take turns

split.py WHAT, where WHAT is functions, lines, callbacks, libraries, deep, naps or turns
"""

import _json
import hashlib
import sys
import threading
import time
import zlib

TEXT = "text" * 10000
DATA = TEXT.encode()


def work(count):
    total = 0
    for i in range(count):
        total += i * i
    return total


def hot():
    return work(7000)


def warm():
    return work(2000)


def cold():
    return work(1000)


def run():
    hot()
    warm()
    cold()


def lines():
    for i in range(1000):
        a = i + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1
        b = i + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1
        c = i + 1 + 1 + 1 + 1 + 1


def libraries():
    zlib.crc32(DATA)
    hashlib.sha256(DATA)
    _json.encode_basestring_ascii(TEXT)


def deep(left=700):
    if left == 0:
        work(1000000)
    else:
        deep(left - 1)


def nap(seconds):
    time.sleep(seconds)


def naps():
    nap(0.02)
    nap(0.005)


def turns():
    work(100000)


def wait_for_ever():
    threading.Event().wait()


class Sorter:
    def key(self):
        return lambda value: cold()

    def sort(self):
        return sorted([3, 1, 2], key=self.key())


WHAT = {
    "functions": run,
    "lines": lines,
    "callbacks": Sorter().sort,
    "libraries": libraries,
    "deep": deep,
    "naps": naps,
    "turns": turns,
}


def main(what):
    while True:
        what()


print("ready", flush=True)
THREADS = {"naps": 1, "turns": 2}.get(sys.argv[1], 0)
for _ in range(THREADS):
    threading.Thread(target=main, args=[WHAT[sys.argv[1]]], daemon=True).start()
if THREADS:
    wait_for_ever()
main(WHAT[sys.argv[1]])
