/* 64 busy threads that yield after every unit of work, 16 per entry function.
 *
 *     start_thread > enter_parse   25 %   parse-00, parse-04, …
 *                  > enter_render  25 %   render-01, render-05, …
 *                  > enter_net     25 %   net-02, net-06, …
 *                  > enter_store   25 %   store-03, store-07, …
 *
 * Each entry function burns in `crunch`. The shares of user CPU time are as
 * fair as the scheduler is; the kernel's share of yielding comes on top.
 *
 * threads [SECONDS] */
#include <pthread.h>
#include <sched.h>

#include "program.h"

#define THREADS 64

static uint64_t deadline;
static pthread_barrier_t all_started;

FRAME void crunch(void) { work(20); }

FRAME void loop_until_deadline(const char *kind, long index) {
    char name[16];
    snprintf(name, sizeof name, "%s-%02ld", kind, index);
    pthread_setname_np(pthread_self(), name);
    pthread_barrier_wait(&all_started);
    while (now_ns() < deadline) {
        crunch();
        sched_yield();
    }
}

#define ENTRY(kind)                                  \
    FRAME void *enter_##kind(void *index) {          \
        loop_until_deadline(#kind, (long)index);     \
        return NULL;                                 \
    }

ENTRY(parse)
ENTRY(render)
ENTRY(net)
ENTRY(store)

int main(int argc, char **argv) {
    void *(*entries[])(void *) = {enter_parse, enter_render, enter_net, enter_store};
    pthread_t threads[THREADS];
    deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    pthread_barrier_init(&all_started, NULL, THREADS + 1);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, entries[i % 4], (void *)i);
    pthread_barrier_wait(&all_started);
    say("ready");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
