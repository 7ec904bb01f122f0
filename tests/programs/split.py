"""CPU-bound Python with known shares of functions and lines.

    <module> > main > run > hot   70 %
                          > warm  20 %
                          > cold  10 %
                    > lines        70, 20 and 10 % of it by line
                    > Sorter.sort > sorted() > Sorter.key.<locals>.<lambda> > cold

split.py WHAT, where WHAT is functions, lines or callbacks
"""

import sys


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


class Sorter:
    def key(self):
        return lambda value: cold()

    def sort(self):
        return sorted([3, 1, 2], key=self.key())


def main():
    what = {"functions": run, "lines": lines, "callbacks": Sorter().sort}[sys.argv[1]]
    print("ready", flush=True)
    while True:
        what()


main()
