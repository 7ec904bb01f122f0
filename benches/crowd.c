/* A process of very many threads: the target of attach.py.
 *
 * Two of the threads are always busy. The others sleep for a second, do a few
 * microseconds of work, and sleep again, at times that are spread evenly.
 * Prints "ready" when all run.
 *
 * crowd THREADS */
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

#define BUSY 2
#define STACK_BYTES (64 << 10)
#define SECOND_NS 1000000000u

static long threads;
static pthread_barrier_t all_started;

static void *live(void *argument) {
    long index = (long)argument;
    pthread_barrier_wait(&all_started);
    uint64_t next = now_ns() + SECOND_NS / (uint64_t)threads * (uint64_t)index;
    for (;;) {
        work(1);
        if (index < BUSY)
            continue;
        next += SECOND_NS;
        struct timespec at = {(time_t)(next / SECOND_NS), (long)(next % SECOND_NS)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
    return NULL;
}

int main(int argc, char **argv) {
    threads = argc > 1 ? atol(argv[1]) : 0;
    if (threads < BUSY)
        return 2;
    pthread_barrier_init(&all_started, NULL, (unsigned)threads + 1);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (long i = 0; i < threads; i++) {
        pthread_t thread;
        int error = pthread_create(&thread, &attributes, live, (void *)i);
        if (error != 0) {
            fprintf(stderr, "thread %ld of %ld cannot be started: error %d\n", i, threads, error);
            return 1;
        }
    }
    pthread_barrier_wait(&all_started);
    say("ready");
    for (;;)
        pause();
}
