/* Does the same again and again, in one thread that never waits, and in two that mostly
 * do. One thing of it can be made to take longer:
 *
 *   nothing
 *   inlined    beta does three times as much in unit, which is inlined everywhere
 *   shared     delta does three times as much in step, which all call
 *   slower     step takes three times as long, whoever calls it
 *   path       hash takes three times as long for store, and not for load
 *   thread     only the thread "poller" does three times as much in poll_
 *
 * changed WHAT [SECONDS] */
#include <pthread.h>
#include <string.h>

#include "program.h"

static uint64_t deadline;
static unsigned beta_does = 4, delta_does = 2, step_takes = 1, stored = 2, polls = 1, polls_too = 1;

static inline __attribute__((always_inline)) void unit(unsigned count) {
    work(count);
}

FRAME void step(unsigned count) { work(count * step_takes); }
FRAME void hash(unsigned count) { work(count); }

FRAME void alpha(void) { unit(8); }
FRAME void beta(void) { unit(beta_does); }
FRAME void gamma_(void) { unit(3); }

FRAME void delta(void) {
    step(delta_does);
    NOT_A_TAIL_CALL();
}

FRAME void epsilon(void) {
    step(3);
    NOT_A_TAIL_CALL();
}

FRAME void store(void) {
    hash(stored);
    NOT_A_TAIL_CALL();
}

FRAME void load(void) {
    hash(3);
    NOT_A_TAIL_CALL();
}

FRAME void left(void) {
    alpha();
    beta();
    delta();
    NOT_A_TAIL_CALL();
}

FRAME void right(void) {
    gamma_();
    epsilon();
    store();
    load();
    NOT_A_TAIL_CALL();
}

FRAME void poll_(unsigned count) { work(count); }

FRAME void *poller(void *count) {
    while (now_ns() < deadline) {
        poll_(40 * *(unsigned *)count);
        struct timespec pause = {0, 6000000};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void begin(const char *name, unsigned *count) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, poller, count) != 0)
        exit(1);
    pthread_setname_np(thread, name);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "nothing";
    deadline = deadline_ns(argc > 2 ? argv[2] : NULL);
    beta_does *= strcmp(what, "inlined") == 0 ? 3 : 1;
    delta_does *= strcmp(what, "shared") == 0 ? 3 : 1;
    step_takes *= strcmp(what, "slower") == 0 ? 3 : 1;
    stored *= strcmp(what, "path") == 0 ? 3 : 1;
    polls *= strcmp(what, "thread") == 0 ? 3 : 1;
    begin("poller", &polls);
    begin("other", &polls_too);
    say("ready");
    while (now_ns() < deadline) {
        left();
        right();
    }
    return 0;
}
