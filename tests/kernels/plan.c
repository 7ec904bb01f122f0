/* Waits, or makes system calls, by plan: when SIGUSR1 comes, and so often.
 *
 *   plan waits
 *     start_thread > naps > sleep_ms      20 times 50 ms of nanosleep
 *     start_thread > spawns > spawn       10 times in vfork, until the child,
 *                                         which sleeps for 50 ms, has ended
 *     start_thread > hogs                 two threads that burn for 500 ms, both
 *                                         pinned to the first CPU
 *     start_thread > pooled               in a futex, all the time
 *   plan calls
 *     main > calls                        100 getppid, 10 openat that fail,
 *                                         3 times 5 ms of nanosleep
 *     start_thread > refused              30 getpgid that fail
 *     start_thread > blocked              in read, all the time
 *
 * Prints "ready", and "done" after it; then it waits to be killed. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

enum { NAPS = 20, SPAWNS = 10, NAP_MS = 50, HOG_MS = 500 };
enum { PLAIN = 100, MISSING = 10, SLOW = 3, SLOW_MS = 5, REFUSED = 30 };

static pthread_barrier_t told;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

FRAME void sleep_ms(long ms) {
    struct timespec time = {0, ms * 1000000};
    nanosleep(&time, NULL);
    NOT_A_TAIL_CALL();
}

FRAME void *naps(void *unused) {
    pthread_barrier_wait(&told);
    for (int i = 0; i < NAPS; i++)
        sleep_ms(NAP_MS);
    return unused;
}

FRAME void spawn(void) {
    pid_t child = vfork();
    if (child == 0) {
        struct timespec time = {0, NAP_MS * 1000000};
        syscall(SYS_nanosleep, &time, NULL);
        _exit(0);
    }
    if (child < 0 || waitpid(child, NULL, 0) < 0)
        exit(1);
}

FRAME void *spawns(void *unused) {
    pthread_barrier_wait(&told);
    for (int i = 0; i < SPAWNS; i++)
        spawn();
    return unused;
}

FRAME void *hogs(void *unused) {
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    sched_setaffinity(0, sizeof first, &first);
    pthread_barrier_wait(&told);
    uint64_t deadline = now_ns() + HOG_MS * 1000000ull;
    while (now_ns() < deadline)
        work(20);
    return unused;
}

FRAME void *pooled(void *unused) {
    pthread_mutex_lock(&lock);
    for (;;)
        pthread_cond_wait(&never, &lock);
    return unused;
}

FRAME void *refused(void *unused) {
    pthread_barrier_wait(&told);
    for (int i = 0; i < REFUSED; i++)
        syscall(SYS_getpgid, -1);
    return unused;
}

FRAME void *blocked(void *unused) {
    int ends[2];
    char byte;
    if (pipe(ends) != 0 || read(ends[0], &byte, 1) != 1)
        exit(1);
    return unused;
}

FRAME void calls(void) {
    for (int i = 0; i < PLAIN; i++)
        syscall(SYS_getppid);
    for (int i = 0; i < MISSING; i++)
        if (openat(AT_FDCWD, "/no/such/file", O_RDONLY | O_CLOEXEC) >= 0)
            exit(1);
    for (int i = 0; i < SLOW; i++)
        sleep_ms(SLOW_MS);
}

static pthread_t start(const char *name, void *(*entry)(void *)) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, entry, NULL) != 0)
        exit(1);
    pthread_setname_np(thread, name);
    return thread;
}

int main(int argc, char **argv) {
    int is_waits = argc > 1 && strcmp(argv[1], "waits") == 0;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    pthread_t ending[4];
    int count = 0;
    pthread_barrier_init(&told, NULL, is_waits ? 5 : 2);
    if (is_waits) {
        ending[count++] = start("naps", naps);
        ending[count++] = start("spawns", spawns);
        ending[count++] = start("hog-0", hogs);
        ending[count++] = start("hog-1", hogs);
        start("pooled", pooled);
    } else {
        ending[count++] = start("refused", refused);
        start("blocked", blocked);
    }
    /* Until all have begun to wait. */
    sleep_ms(300);
    say("ready");
    int signal;
    sigwait(&signals, &signal);
    pthread_barrier_wait(&told);
    if (!is_waits)
        calls();
    for (int i = 0; i < count; i++)
        pthread_join(ending[i], NULL);
    say("done");
    sigwait(&signals, &signal);
    return 0;
}
