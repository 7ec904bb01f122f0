/* Two threads that recurse and then burn at the bottom.
 *
 *     start_thread > deep_thread > descend × DEPTH > bottom   50 % each thread
 *
 * The threads are named deep-0 and deep-1; main waits.
 *
 * deep [SECONDS] [DEPTH, 40 by default] */
#include <pthread.h>

#include "program.h"

static uint64_t deadline;
static int depth = 40;

FRAME void bottom(void) { work(5); }

FRAME void descend(int left) {
    if (left > 1)
        descend(left - 1);
    else
        bottom();
    NOT_A_TAIL_CALL();
}

FRAME void *deep_thread(void *name) {
    pthread_setname_np(pthread_self(), name);
    while (now_ns() < deadline)
        descend(depth);
    return NULL;
}

int main(int argc, char **argv) {
    deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    if (argc > 2)
        depth = atoi(argv[2]);
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, deep_thread, "deep-0");
    pthread_create(&threads[1], NULL, deep_thread, "deep-1");
    say("ready");
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
