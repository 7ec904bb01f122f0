/* A server that writes what it did as spans, of requests of two kinds; a thread beside it
 * burns without any.
 *
 *     main > serve > burn_request            POST /burn
 *                  > wait_request > nap      GET /wait
 *     start_thread > noise
 *
 * Each request is a trace of its own. OTLP has times of day, trace events are on
 * CLOCK_MONOTONIC.
 *
 * spans SECONDS OTLP EVENTS */
#include <pthread.h>
#include <unistd.h>

#include "program.h"

static volatile int done;
static FILE *otlp, *events;

FRAME void nap(void) {
    struct timespec moment = {0, 20000000};
    nanosleep(&moment, NULL);
    NOT_A_TAIL_CALL();
}

FRAME void burn_request(void) {
    work(2000);
}

FRAME void wait_request(void) {
    nap();
    NOT_A_TAIL_CALL();
}

FRAME void *noise(void *unused) {
    while (!done)
        work(20);
    return unused;
}

static uint64_t day_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

FRAME void serve(unsigned number, const char *name, void (*request)(void)) {
    uint64_t day = day_ns(), start = now_ns();
    request();
    uint64_t took = now_ns() - start;
    fprintf(otlp,
            "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"process.pid\","
            "\"value\":{\"intValue\":\"%d\"}}]},\"scopeSpans\":[{\"spans\":[{"
            "\"traceId\":\"%032x\",\"spanId\":\"%016x\",\"name\":\"%s\","
            "\"startTimeUnixNano\":\"%lu\",\"endTimeUnixNano\":\"%lu\",\"attributes\":"
            "[{\"key\":\"thread.id\",\"value\":{\"intValue\":\"%d\"}}]}]}]}]}\n",
            getpid(), number, number, name, day, day + took, gettid());
    fprintf(events, "%c{\"ph\":\"X\",\"name\":\"%s\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f}\n",
            number == 1 ? '[' : ',', name, getpid(), gettid(), (double)start / 1e3,
            (double)took / 1e3);
}

int main(int argc, char **argv) {
    uint64_t deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    otlp = argc > 3 ? fopen(argv[2], "w") : NULL;
    events = argc > 3 ? fopen(argv[3], "w") : NULL;
    if (!otlp || !events)
        return 1;
    pthread_t other;
    pthread_create(&other, NULL, noise, NULL);
    say("ready");
    for (unsigned number = 1; number == 1 || now_ns() < deadline; number += 2) {
        serve(number, "POST /burn", burn_request);
        serve(number + 1, "GET /wait", wait_request);
    }
    done = 1;
    pthread_join(other, NULL);
    fputs("]\n", events);
    return fclose(otlp) | fclose(events);
}
