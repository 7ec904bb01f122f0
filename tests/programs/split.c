/* Three functions that share the CPU 70 : 20 : 10.
 *
 *     main > run > hot   70 %
 *                > warm  20 %
 *                > cold  10 %
 *
 * split [SECONDS] */
#include "program.h"

FRAME void hot(void) { work(1); }
FRAME void warm(void) { work(1); }
FRAME void cold(void) { work(1); }

FRAME void run(uint64_t deadline) {
    uint64_t state = 1;
    while (now_ns() < deadline) {
        unsigned choice = next_choice(&state, 10);
        if (choice < 7)
            hot();
        else if (choice < 9)
            warm();
        else
            cold();
    }
}

int main(int argc, char **argv) {
    uint64_t deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    say("ready");
    run(deadline);
    return 0;
}
