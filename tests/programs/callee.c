/* Functions that call each other in known ways, for recordings of their calls. When told
 * (SIGUSR1), calls all of them, says "done", and waits to be told to end.
 *
 *   callee            every way once
 *   callee once       the same at once, without being told, and ends
 *   callee hot [left]  calls `doubled`, or `left`, which returns then, for ever, as often as
 *                     it can, and says how long that takes
 */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

static jmp_buf back;

FRAME int doubled(int n) {
    return 2 * n;
}

FRAME const char *greeting(const char *name, unsigned long number, int yes) {
    (void)number;
    return yes ? "hello" : name;
}

/* Calls itself `depth` times, and `doubled` at the bottom. */
FRAME long nested(int depth) {
    long below = depth > 0 ? nested(depth - 1) : doubled(21);

    NOT_A_TAIL_CALL();
    return below + 1;
}

/* Is left by a jump. */
FRAME void left(int value) {
    if (value)
        longjmp(back, value);
}

FRAME int jumped_over(void) {
    if (setjmp(back))
        return doubled(5);
    left(1);
    return 0;
}

/* Ends with a jump to `doubled`. */
__attribute__((noipa, naked)) int tail(int n) {
    (void)n;
    __asm__ volatile("addl $1, %edi\n\tjmp doubled");
}

FRAME int sleeps(int ms) {
    usleep((unsigned)ms * 1000);
    return ms;
}

FRAME int never(void) {
    return 1;
}

FRAME int burns(int units) {
    work((unsigned)units);
    return units;
}

static void every_way(void) {
    for (int i = 0; i < 10; i++)
        doubled(i);
    greeting("a \"name\"", 18446744073709551615u, 0);
    greeting("other", 7, 1);
    nested(5);
    nested(100);
    jumped_over();
    tail(9);
    sleeps(20);
    burns(2000);
    if (getpid() == 0)
        never();
}

int main(int argc, char **argv) {
    sigset_t signals;
    int signal;

    if (argc > 1 && strcmp(argv[1], "hot") == 0) {
        int is_left = argc > 2 && strcmp(argv[2], "left") == 0;

        say("ready");
        for (;;) {
            uint64_t start = now_ns(), calls = 0;

            for (; now_ns() - start < 50000000; calls += 20)
                for (int i = 0; i < 20; i++)
                    is_left ? left(0) : (void)doubled(1);
            printf("call %.1f ns\n", 50e6 / (double)calls);
            fflush(stdout);
        }
    }
    if (argc > 1 && strcmp(argv[1], "once") == 0) {
        every_way();
        return 0;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    say("ready");
    sigwait(&signals, &signal);
    every_way();
    say("done");
    sigwait(&signals, &signal);
    return 0;
}
