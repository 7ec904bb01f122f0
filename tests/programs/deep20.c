/* Two busy threads 20 distinct functions deep: the target of the benchmarks.
 *
 *     start_thread > deep_thread > f00 > f01 > … > f19   50 % each thread
 *
 * With TIMES, f19 calls f00 again until there are so many times 20 functions.
 * Each level saves registers and has locals, as real code does. With COUNTS,
 * the file is made of two 64-bit counters, one per thread, of calls of f00
 * (10 units of work each), for another process to watch while this one runs.
 *
 * deep20 [SECONDS] [COUNTS] [TIMES] */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "program.h"

static uint64_t deadline;
static unsigned times = 1;

struct worker {
    const char *name;
    volatile uint64_t *calls;
};

uint64_t f00(uint64_t x, unsigned more);

FRAME uint64_t f19(uint64_t x, unsigned more) {
    if (more > 0)
        return f00(x, more - 1) + 1;
    work(10);
    return x + 1;
}

#define LEVEL(this, next)                         \
    FRAME uint64_t this(uint64_t x, unsigned more) { \
        volatile uint64_t locals[6] = {x, x ^ 1}; \
        return next(x + 1, more) + locals[1];     \
    }

LEVEL(f18, f19)
LEVEL(f17, f18)
LEVEL(f16, f17)
LEVEL(f15, f16)
LEVEL(f14, f15)
LEVEL(f13, f14)
LEVEL(f12, f13)
LEVEL(f11, f12)
LEVEL(f10, f11)
LEVEL(f09, f10)
LEVEL(f08, f09)
LEVEL(f07, f08)
LEVEL(f06, f07)
LEVEL(f05, f06)
LEVEL(f04, f05)
LEVEL(f03, f04)
LEVEL(f02, f03)
LEVEL(f01, f02)
LEVEL(f00, f01)

FRAME void *deep_thread(void *argument) {
    struct worker *worker = argument;
    pthread_setname_np(pthread_self(), worker->name);
    for (uint64_t calls = 0; now_ns() < deadline; calls++) {
        f00(calls, times - 1);
        *worker->calls = calls + 1;
    }
    return NULL;
}

/* Two counters in `path`, or private ones without a path. */
static volatile uint64_t *map_counts(const char *path) {
    int fd = -1;
    if (path) {
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, 16) != 0) {
            perror(path);
            exit(1);
        }
    }
    int flags = path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *counts = mmap(NULL, 16, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (counts == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return counts;
}

int main(int argc, char **argv) {
    deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    volatile uint64_t *counts = map_counts(argc > 2 ? argv[2] : NULL);
    if (argc > 3)
        times = (unsigned)atoi(argv[3]);
    struct worker workers[2] = {{"deep-0", counts}, {"deep-1", counts + 1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, deep_thread, &workers[i]);
    say("ready");
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
