/* Threads that wait in known ways, each named after its function.
 *
 *     start_thread > naps        20 ms of nanosleep at a time
 *     start_thread > blinks      50 µs of nanosleep at a time
 *     start_thread > pooled      in a futex; there are four
 *     start_thread > paused      in pause, all the time
 *     start_thread > faults      in page faults, if there is a FILE
 *     start_thread > hogs        burn, both pinned to the first CPU; there are two
 *     main                       in join
 *
 * FILE is a file of some megabytes on a disk, which is not cached when it is
 * read through a mapping.
 *
 * waiter SECONDS [FILE] */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program.h"

static uint64_t deadline;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

FRAME void sleep_ns(long ns) {
    struct timespec time = {0, ns};
    nanosleep(&time, NULL);
    NOT_A_TAIL_CALL();
}

FRAME void nap(void) {
    sleep_ns(20000000);
    NOT_A_TAIL_CALL();
}

FRAME void *naps(void *unused) {
    while (now_ns() < deadline)
        nap();
    return unused;
}

FRAME void *blinks(void *unused) {
    /* The slack of timers is 50 µs otherwise. */
    prctl(PR_SET_TIMERSLACK, 1);
    while (now_ns() < deadline)
        sleep_ns(50000);
    return unused;
}

FRAME void *pooled(void *unused) {
    pthread_mutex_lock(&lock);
    for (;;)
        pthread_cond_wait(&never, &lock);
    return unused;
}

FRAME void *paused(void *unused) {
    for (;;)
        pause();
    return unused;
}

FRAME char touch(const volatile char *page) { return *page; }

FRAME void *faults(void *path) {
    int fd = open(path, O_RDONLY);
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) != 0) {
        perror(path);
        exit(1);
    }
    size_t length = (size_t)stat.st_size;
    while (now_ns() < deadline) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        char *file = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
        if (file == MAP_FAILED) {
            perror("mmap");
            exit(1);
        }
        /* No reading ahead: each page is a fault and a wait of its own. */
        madvise(file, length, MADV_RANDOM);
        for (size_t at = 0; at < length && now_ns() < deadline; at += 4096)
            touch(file + at);
        munmap(file, length);
    }
    return NULL;
}

FRAME void *hogs(void *unused) {
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    sched_setaffinity(0, sizeof first, &first);
    while (now_ns() < deadline)
        work(20);
    return unused;
}

static pthread_t start(const char *name, void *(*entry)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, entry, argument) != 0)
        exit(1);
    pthread_setname_np(thread, name);
    return thread;
}

int main(int argc, char **argv) {
    deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    pthread_t ends = start("naps", naps, NULL);
    start("blinks", blinks, NULL);
    for (int i = 0; i < 4; i++)
        start("pooled", pooled, NULL);
    start("paused", paused, NULL);
    start("hog-0", hogs, NULL);
    start("hog-1", hogs, NULL);
    if (argc > 2)
        start("faults", faults, argv[2]);
    /* Until all have begun to wait. */
    sleep_ns(100000000);
    say("ready");
    pthread_join(ends, NULL);
    return 0;
}
