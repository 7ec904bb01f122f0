/* A tight loop of calls through the procedure linkage table.
 *
 *     main > plt_loop > tiny   (libplt.so)
 *
 * Calls are bound lazily and `tiny` does nearly nothing, so that many samples
 * land in the linkage stub, where no frame of `plt_loop`'s callee exists yet.
 *
 * plt [SECONDS] */
#include "program.h"

uint64_t tiny(uint64_t x);

FRAME uint64_t plt_loop(uint64_t deadline) {
    uint64_t sum = 0;
    while (now_ns() < deadline)
        for (int i = 0; i < 1000000; i++)
            sum += tiny(sum);
    return sum;
}

int main(int argc, char **argv) {
    uint64_t deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    say("ready");
    return plt_loop(deadline) == 1;
}
