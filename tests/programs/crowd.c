/* THREADS threads that sleep all the time, and BUSY that burn.
 *
 *     start_thread > sleep_on       in futex, named "asleep"
 *     start_thread > stay_busy      named busy-0, busy-1, …
 *
 * crowd [SECONDS] [THREADS, 10,000 by default] [BUSY, 4 by default] */
#include <pthread.h>
#include <unistd.h>

#include "program.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static uint64_t deadline;

FRAME void *sleep_on(void *unused) {
    pthread_setname_np(pthread_self(), "asleep");
    pthread_mutex_lock(&lock);
    for (;;)
        pthread_cond_wait(&never, &lock);
    return unused;
}

FRAME void *stay_busy(void *index) {
    char name[16];
    snprintf(name, sizeof name, "busy-%ld", (long)index);
    pthread_setname_np(pthread_self(), name);
    while (now_ns() < deadline)
        work(20);
    return NULL;
}

static pthread_t start(void *(*entry)(void *), long index) {
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 << 10);
    if (pthread_create(&thread, &attr, entry, (void *)index) != 0) {
        perror("thread");
        exit(1);
    }
    return thread;
}

int main(int argc, char **argv) {
    deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    long asleep = argc > 2 ? atol(argv[2]) : 10000;
    long busy = argc > 3 ? atol(argv[3]) : 4;
    for (long i = 0; i < asleep; i++)
        start(sleep_on, i);
    pthread_t last = 0;
    for (long i = 0; i < busy; i++)
        last = start(stay_busy, i);
    say("ready");
    if (busy)
        pthread_join(last, NULL);
    else
        pause();
    _exit(0);
}
