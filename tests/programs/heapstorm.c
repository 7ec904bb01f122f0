/* Allocates in THREADS threads at once, in the vicinity of all that makes that
 * hard: signals, forks, libraries that come and go.
 *
 *     start_thread > churn          COUNT objects of 100 bytes, freed by
 *                                   another thread
 *     on_signal                     interrupts, allocates nothing
 *     main > jump > siglongjmp      out of a handler
 *     main > fork_and_allocate      in a child that executes nothing
 *     main > spawn                  vfork and posix_spawn of true
 *     main > load_and_unload        of libplugin.so
 *
 * heapstorm [THREADS] [COUNT]; prints how many objects it allocated in churn */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

enum { SHELF = 64 };

extern char **environ;
static _Atomic(void *) shelf[SHELF];
static long count;
static sigjmp_buf back;
static void *volatile sink;
static volatile sig_atomic_t may_jump;

/* Puts an object down and takes the one that lay there, maybe another
 * thread's. */
FRAME void *churn(void *index) {
    uint64_t state = (uint64_t)(long)index;
    for (long i = 0; i < count; i++) {
        char *object = malloc(100);
        memset(object, 1, 100);
        free(atomic_exchange(&shelf[next_choice(&state, SHELF)], object));
    }
    return NULL;
}

FRAME void on_signal(int signal) {
    (void)signal;
    if (may_jump) {
        may_jump = 0;
        siglongjmp(back, 1);
    }
}

FRAME void jump(void) {
    /* The jump goes from wherever the signal hit, allocators excepted: those
     * would be left in the middle of what they do. */
    for (volatile int i = 0; i < 20; i++) {
        if (sigsetjmp(back, 1) == 0) {
            may_jump = 1;
            while (may_jump)
                work(1);
        }
        sink = malloc(10);
        free(sink);
    }
}

FRAME void fork_and_allocate(void) {
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            for (int j = 0; j < 100; j++) {
                sink = malloc(1000);
                free(sink);
            }
            _exit(0);
        }
        int status;
        while (waitpid(child, &status, 0) < 0)
            ;
        if (status != 0)
            abort();
    }
}

FRAME void spawn(void) {
    char *arguments[] = {"true", NULL};
    for (int i = 0; i < 10; i++) {
        pid_t child;
        if (posix_spawnp(&child, "true", NULL, NULL, arguments, environ) != 0)
            abort();
        while (waitpid(child, NULL, 0) < 0)
            ;
        child = vfork();
        if (child == 0) {
            execvp("true", arguments);
            _exit(127);
        }
        while (waitpid(child, NULL, 0) < 0)
            ;
    }
}

FRAME void load_and_unload(const char *program) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s/libplugin.so", (int)(strrchr(program, '/') - program),
             program);
    for (int i = 0; i < 20; i++) {
        void *library = dlopen(path, RTLD_NOW);
        if (library == NULL)
            abort();
        dlclose(library);
    }
}

int main(int argc, char **argv) {
    long threads = argc > 1 ? atol(argv[1]) : 8;
    count = argc > 2 ? atol(argv[2]) : 10000;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 500}, {0, 500}};
    setitimer(ITIMER_REAL, &often, NULL);

    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 << 10);
    pthread_t *all = calloc((size_t)threads, sizeof *all);
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    for (long i = 0; i < threads; i++)
        if (pthread_create(&all[i], &attr, churn, (void *)i) != 0)
            abort();
    /* Jumping is for the thread that set the place to jump to. */
    for (long i = 0; i < threads; i++)
        pthread_join(all[i], NULL);
    free(all);
    jump();
    fork_and_allocate();
    spawn();
    load_and_unload(argv[0]);
    for (int i = 0; i < SHELF; i++)
        free(shelf[i]);
    printf("%ld\n", threads * count);
    return 0;
}
