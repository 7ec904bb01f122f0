"""A C++ program with very much debug information, which is made here.

Each unit has types of its own in the containers of the standard library, so
that all of their functions are compiled, and inlined into each other, anew.
"""

import concurrent.futures
import os
import subprocess

from machine import BENCH_PROGRAMS

UNITS = 80
TYPES = 12

HEADERS = ["algorithm", "functional", "map", "memory", "string", "unordered_map", "vector"]

WORK = """
struct Item@ {
    int key; std::string text;
    bool operator<(const Item@ &other) const { return key < other.key; }
};
__attribute__((noinline)) int work@(int n) {
    std::map<int, std::vector<Item@>> groups;
    std::unordered_map<std::string, std::shared_ptr<Item@>> index;
    for (int i = 0; i < n; i++) {
        Item@ item{i * (@ + 7) % 31, std::to_string(i)};
        groups[item.key % 5].push_back(item);
        index[item.text] = std::make_shared<Item@>(item);
    }
    int sum = 0;
    std::function<int(const Item@ &)> value = [&](const Item@ &item) {
        return item.key + int(item.text.size());
    };
    for (auto &group : groups) {
        std::sort(group.second.begin(), group.second.end());
        for (auto &item : group.second) sum += value(item);
    }
    for (auto &entry : index) sum += entry.second->key;
    return sum;
}
"""


def build() -> str:
    """Path of the program, which takes some ten minutes of CPU the first time."""
    folder = os.path.join(BENCH_PROGRAMS, "large-units")
    program = os.path.join(BENCH_PROGRAMS, "large")
    if os.path.exists(program):
        return program
    os.makedirs(folder, exist_ok=True)
    texts = {f"unit{number}": unit(number) for number in range(UNITS)} | {"main": main()}

    def compile_unit(name: str) -> str:
        source, output = (os.path.join(folder, name + end) for end in (".cc", ".o"))
        with open(source, "w") as file:
            file.write(texts[name])
        subprocess.run(["g++", "-g", "-O1", "-c", source, "-o", output], check=True)
        return output

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_unit, texts))
    subprocess.run(["g++", "-o", program, *objects, "-Wl,--build-id"], check=True)
    return program


def unit(number: int) -> str:
    """Source of one unit."""
    lines = [f"#include <{header}>" for header in HEADERS]
    lines += [f"namespace unit{number} {{"]
    lines += [WORK.replace("@", str(kind)) for kind in range(TYPES)]
    calls = " + ".join(f"unit{number}::work{kind}(n)" for kind in range(TYPES))
    lines += ["}", f"int run{number}(int n) {{ return {calls}; }}"]
    return "\n".join(lines) + "\n"


def main() -> str:
    """Source of the main unit: runs everything as often as it is told."""
    lines = ["#include <cstdio>", "#include <cstdlib>"]
    lines += [f"int run{number}(int);" for number in range(UNITS)]
    lines += ["int main(int argc, char **argv) {", "    int sum = 0;",
              "    for (int i = argc > 1 ? atoi(argv[1]) : 1; i > 0; i--) {"]
    lines += [f"        sum += run{number}(40);" for number in range(UNITS)]
    lines += ["    }", '    std::printf("%d\\n", sum);', "}"]
    return "\n".join(lines) + "\n"


def debug_bytes(program: str) -> int:
    """Bytes of debug information in a program."""
    done = subprocess.run(["size", "-A", program], capture_output=True, text=True, check=True)
    rows = (line.split() for line in done.stdout.splitlines())
    return sum(int(row[1]) for row in rows if row and row[0].startswith(".debug"))
