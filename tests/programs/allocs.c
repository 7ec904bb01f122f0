/* Allocates and frees in ways that are known exactly.
 *
 *   allocs functions N   each function N times, when SIGUSR1 comes
 *   allocs child N       the same in a child
 *   allocs threads N     the same in four threads
 *   allocs sizes N       N objects of each of three sizes, likewise, with pauses so
 *                        that whoever listens can keep up
 *   allocs steady MS     an object every MS milliseconds, for ever
 *   allocs hot MS        nothing else, after MS milliseconds; says how fast
 */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

FRAME static void *small(size_t size) {
    void *object = malloc(size);
    NOT_A_TAIL_CALL();
    return object;
}

FRAME static void *medium(size_t size) {
    void *object = calloc(size / 10, 10);
    NOT_A_TAIL_CALL();
    return object;
}

FRAME static void *large(size_t size) {
    /* Not known to the compiler, which would call malloc. */
    void *volatile none = NULL;
    void *object = realloc(none, size);
    NOT_A_TAIL_CALL();
    return object;
}

FRAME static void give_back(void *object) {
    free(object);
}

/* 9 allocations of 3,190 bytes, one that fails, 9 objects freed. */
FRAME static void one_of_each(void) {
    void *volatile failed = malloc(SIZE_MAX / 4);
    free(failed);
    char *object = small(100);
    object = realloc(object, 300);
    object = reallocarray(object, 4, 100);
    give_back(object);
    give_back(medium(200));
    give_back(large(50));
    void *aligned = NULL;
    if (posix_memalign(&aligned, 64, 500) == 0)
        give_back(aligned);
    give_back(aligned_alloc(64, 640));
    give_back(memalign(32, 500));
    give_back(valloc(500));
}

static unsigned rounds;

static void functions(void) {
    for (unsigned i = 0; i < rounds; i++)
        one_of_each();
}

static void *thread(void *unused) {
    functions();
    return unused;
}

static void threads(void) {
    pthread_t started[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&started[i], NULL, thread, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(started[i], NULL);
}

static void sizes(void) {
    for (unsigned i = 0; i < rounds; i++) {
        give_back(small(64));
        give_back(medium(1000));
        give_back(large(100000));
        if (i % 200 == 0)
            usleep(5000);
    }
}

static void hot(unsigned delay_ms) {
    usleep(delay_ms * 1000);
    for (;;) {
        uint64_t start = now_ns(), pairs = 0;
        while (now_ns() - start < 50000000)
            for (int i = 0; i < 100; i++, pairs++)
                give_back(small(64));
        /* One page that is touched for the first time. */
        char *page = large(1 << 20);
        memset(page, 1, 1 << 20);
        give_back(page);
        printf("pair %.1f ns\n", 50e6 / (double)pairs);
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    /* So that it maps new memory, and touches it. */
    mallopt(M_MMAP_THRESHOLD, 1 << 19);
    void *old = small(1234);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    say("ready");
    if (strcmp(what, "hot") == 0)
        hot(rounds);
    while (strcmp(what, "steady") == 0) {
        usleep(rounds * 1000);
        give_back(small(64));
    }
    int signal;
    sigwait(&signals, &signal);
    if (strcmp(what, "functions") == 0) {
        give_back(old);
        functions();
    } else if (strcmp(what, "threads") == 0) {
        threads();
    } else if (strcmp(what, "child") == 0) {
        if (fork() == 0) {
            functions();
            _exit(0);
        }
        wait(NULL);
    } else {
        sizes();
    }
    say("done");
    sigwait(&signals, &signal);
    return 0;
}
