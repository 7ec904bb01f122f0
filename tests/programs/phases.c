/* Two threads, one of which does something else in the second half of its time.
 *
 *     start_thread > run > early > allocate        all of `steady`, half of `changing`
 *                        > late > allocate, nap    the other half of `changing`
 *
 * `early` allocates 100 bytes at a time, `late` 1000, and both free them.
 *
 * phases [SECONDS] */
#include <pthread.h>

#include "program.h"

static uint64_t half, deadline;

FRAME void *allocate(size_t bytes) {
    void *room = malloc(bytes);
    NOT_A_TAIL_CALL();
    return room;
}

FRAME void nap(void) {
    struct timespec moment = {0, 200000};
    nanosleep(&moment, NULL);
    NOT_A_TAIL_CALL();
}

FRAME void early(void) {
    work(20);
    free(allocate(100));
    NOT_A_TAIL_CALL();
}

FRAME void late(void) {
    work(20);
    free(allocate(1000));
    nap();
    NOT_A_TAIL_CALL();
}

FRAME void *run(void *changes) {
    pthread_setname_np(pthread_self(), changes ? "changing" : "steady");
    for (uint64_t now = now_ns(); now < deadline; now = now_ns()) {
        if (changes && now >= half)
            late();
        else
            early();
    }
    return NULL;
}

int main(int argc, char **argv) {
    uint64_t start = now_ns();
    deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    half = start + (deadline - start) / 2;
    pthread_t steady, changing;
    pthread_create(&steady, NULL, run, NULL);
    pthread_create(&changing, NULL, run, &half);
    say("ready");
    pthread_join(steady, NULL);
    pthread_join(changing, NULL);
    return 0;
}
