/* Burns, then executes itself anew under the same process id, and burns on.
 *
 *     main > first_life    first DELAY_MS, command name "execchain"
 *     main > second_life   after that, command name "execchain-2"
 *
 * The second life maps the file at other addresses (and from another path
 * when PROGRAM names a copy). Prints "second" when it begins. SECONDS counts
 * from the start of the second life.
 *
 * execchain [SECONDS] [DELAY_MS, 1000 by default] [PROGRAM, itself by default] */
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "program.h"

FRAME void first_life(uint64_t until) {
    while (now_ns() < until)
        work(5);
}

FRAME void second_life(uint64_t until) {
    while (now_ns() < until)
        work(5);
}

int main(int argc, char **argv) {
    char *seconds = argc > 1 ? argv[1] : "0";
    if (argc > 2 && strcmp(argv[2], "second") == 0) {
        prctl(PR_SET_NAME, "execchain-2");
        say("second");
        second_life(deadline_ns(seconds));
        return 0;
    }
    uint64_t delay_ms = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
    const char *program = argc > 3 ? argv[3] : "/proc/self/exe";
    say("ready");
    first_life(now_ns() + delay_ms * 1000000);
    execl(program, argv[0], seconds, "second", (char *)NULL);
    perror(program);
    return 1;
}
