/* THREADS threads that make the cheapest of system calls as fast as they can.
 *
 *     start_thread > flood > syscall
 *
 * Prints "made N" and "cpu NANOSECONDS", what all of it has used.
 *
 * flood SECONDS [THREADS, 2 by default] */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "program.h"

static uint64_t deadline;
static uint64_t made;

FRAME void *flood(void *unused) {
    uint64_t calls = 0;
    while (now_ns() < deadline) {
        for (int i = 0; i < 100; i++)
            syscall(SYS_getppid);
        calls += 100;
    }
    __atomic_fetch_add(&made, calls, __ATOMIC_RELAXED);
    return unused;
}

int main(int argc, char **argv) {
    pthread_t threads[64];
    struct rusage used;
    deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    int count = argc > 2 ? atoi(argv[2]) : 2;
    if (count < 1 || count > 64)
        return 2;
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, flood, NULL);
    say("ready");
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    getrusage(RUSAGE_SELF, &used);
    uint64_t us = (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000u +
                  (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    printf("made %llu\ncpu %llu\n", (unsigned long long)made, (unsigned long long)us * 1000);
    return 0;
}
