/* A storm of short threads: RATE a second, each burning UNITS of work.
 *
 *     start_thread > short_life   nearly all user time
 *     main > storm                sleeps between starts
 *
 * Each thread is named life-N before it burns. At the end the number of
 * threads is printed as "threads N".
 *
 * With the default of 20 units a thread lives for about 150 µs: less than the
 * period of a per-thread clock event at 1 kHz, which so never fires. For
 * samples in each thread take, say, 200 threads a second of 600 units.
 *
 * storm [SECONDS] [RATE, 1000 by default] [UNITS, 20 by default] */
#include <pthread.h>

#include "program.h"

/* Threads that may be alive at once; the oldest is joined to make room. */
#define ALIVE 32

static unsigned units = 20;

FRAME void burn_briefly(void) { work(units); }

FRAME void *short_life(void *number) {
    char name[16];
    snprintf(name, sizeof name, "life-%ld", (long)number % 1000000);
    pthread_setname_np(pthread_self(), name);
    burn_briefly();
    return NULL;
}

FRAME long storm(uint64_t deadline, uint64_t interval_ns) {
    pthread_t alive[ALIVE];
    long started = 0;
    uint64_t next = now_ns();
    while (next < deadline) {
        if (started >= ALIVE)
            pthread_join(alive[started % ALIVE], NULL);
        if (pthread_create(&alive[started % ALIVE], NULL, short_life, (void *)started) != 0)
            exit(1);
        started++;
        next += interval_ns;
        struct timespec at = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
    for (long i = started > ALIVE ? started - ALIVE : 0; i < started; i++)
        pthread_join(alive[i % ALIVE], NULL);
    return started;
}

int main(int argc, char **argv) {
    uint64_t deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    long rate = argc > 2 ? atol(argv[2]) : 1000;
    if (rate <= 0)
        return 2;
    if (argc > 3)
        units = (unsigned)atoi(argv[3]);
    say("ready");
    printf("threads %ld\n", storm(deadline, 1000000000u / (uint64_t)rate));
    return 0;
}
