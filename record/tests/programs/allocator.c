/* What the tests of the allocation hook run. The first argument says what. */
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define FRAME __attribute__((noipa))
#define NOT_A_TAIL_CALL() __asm__ volatile("")

/* Known numbers of everything. Prints the addresses as they come. */
static int counts(void) {
    void *p[12] = {malloc(1001), calloc(7, 143)};
    p[2] = realloc(p[0], 2002);
    void *volatile none = NULL;
    p[3] = realloc(none, 3003);
    p[4] = reallocarray(p[3], 4, 1001);
    if (posix_memalign(&p[5], 64, 5005) != 0) return 1;
    p[6] = aligned_alloc(64, 6016);
    p[7] = memalign(128, 7007);
    p[8] = valloc(8008);
    p[9] = pvalloc(9009);
    errno = 0;
    volatile size_t huge = PTRDIFF_MAX;
    if (malloc(huge) || errno != ENOMEM) return 2;
    if (reallocarray(NULL, huge, 16)) return 3;
    errno = 77;
    void *map = mmap(NULL, 12288, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(map, 8192);
    sbrk(4096);
    sbrk(-4096);
    for (int i = 0; i < 12; i++) printf("%p\n", p[i]);
    for (int i = 0; i < 12; i++) {
        if (i != 0 && i != 3) free(p[i]);
    }
    return errno == 77 ? 0 : 4;
}

/* A chain of known functions. */
void *volatile kept;
FRAME static void third(size_t size) { kept = malloc(size); NOT_A_TAIL_CALL(); }
FRAME static void second(size_t size) { third(size); NOT_A_TAIL_CALL(); }
FRAME static void first(size_t size) { second(size); NOT_A_TAIL_CALL(); }
FRAME static void last(void) {}

static int chain(void) {
    printf("third %p\nsecond %p\nfirst %p\nlast %p\n", (void *)third, (void *)second, (void *)first,
           (void *)last);
    first(111111);
    second(222222);
    return 0;
}

/* Calls at random depth, of functions of all kinds. Writes down what the
 * compiler's unwinder says of each. */
static FILE *walks;
static uint64_t state = 88172645463325252u;
static unsigned choice(unsigned bound) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 20) % bound);
}

static unsigned left, size_next = 100000;
FRAME static void step(unsigned depth);

FRAME static void note(void) {
    void *frames[2000];
    int count = backtrace(frames, 2000);
    fprintf(walks, "%u", size_next);
    /* Without this function's own frame and its address in the caller. */
    for (int i = 2; i < count; i++) fprintf(walks, " %p", frames[i]);
    fputc('\n', walks);
}

#define HERE() do { note(); void *volatile p = malloc(size_next++); free(p); } while (0)

FRAME static void plain(unsigned depth) { step(depth); HERE(); }
FRAME static void variable(unsigned depth) {
    volatile char *space = __builtin_alloca(1 + choice(3) * 48);
    space[0] = 1;
    step(depth);
    HERE();
}
FRAME static void aligned(unsigned depth) {
    char space[64] __attribute__((aligned(64)));
    __asm__ volatile("" : : "r"(space) : "memory");
    volatile char *more = __builtin_alloca(1 + choice(3) * 16);
    more[0] = 1;
    step(depth);
    HERE();
}
FRAME static void large(unsigned depth) {
    char space[20000];
    __asm__ volatile("" : : "r"(space) : "memory");
    step(depth);
    HERE();
}
static unsigned sort_depth;
static int compare(const void *a, const void *b) {
    (void)a, (void)b;
    if (sort_depth) {
        unsigned depth = sort_depth;
        sort_depth = 0;
        step(depth);
        HERE();
    }
    return 0;
}
FRAME static void library(unsigned depth) {
    int numbers[3] = {1, 2, 3};
    sort_depth = depth;
    qsort(numbers, 3, sizeof *numbers, compare);
    NOT_A_TAIL_CALL();
}
static ucontext_t outside, inside;
static unsigned inside_depth;
static void coroutine(void) { step(inside_depth); HERE(); }
static unsigned in_coroutine;
FRAME static void other_stack(unsigned depth) {
    if (in_coroutine) return;
    in_coroutine = 1;
    size_t size = 65536 + 4096 * choice(8);
    char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = size;
    inside.uc_link = &outside;
    inside_depth = depth > 2 ? 2 : depth;
    makecontext(&inside, coroutine, 0);
    swapcontext(&outside, &inside);
    munmap(stack, size);
    in_coroutine = 0;
    HERE();
}
static unsigned signal_depth;
static void on_signal(int number) {
    (void)number;
    step(signal_depth);
    HERE();
}
FRAME static void signalled(unsigned depth) {
    signal_depth = depth;
    raise(SIGUSR1);
    NOT_A_TAIL_CALL();
}

FRAME static void step(unsigned depth) {
    static void (*const calls[])(unsigned) = {plain, plain, plain, variable, aligned, large, library,
                                              other_stack, signalled};
    if (left == 0 || depth == 0) return;
    left--;
    for (unsigned i = choice(3) + 1; i > 0; i--) {
        void (*call)(unsigned) = calls[choice(sizeof calls / sizeof *calls)];
        if (in_coroutine && (call == large || call == signalled)) continue;
        call(depth - 1);
    }
    HERE();
}

static int walk(const char *path) {
    walks = fopen(path, "w");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
    sigaction(SIGUSR1, &action, NULL);
    for (int round = 0; round < 40; round++) {
        left = 300;
        step(14);
    }
    fclose(walks);
    return 0;
}

/* Recursion deeper than a stack is recorded. */
FRAME static void sink(unsigned depth) {
    void *volatile p = malloc(777777);
    free(p);
    if (depth > 0) sink(depth - 1);
    NOT_A_TAIL_CALL();
}

static void *thread(void *argument) {
    for (int i = 0; i < 1000; i++) {
        void *volatile p = malloc(4321);
        free(p);
    }
    return argument;
}

static int threads(int count, size_t stack) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (stack != 0) pthread_attr_setstacksize(&attributes, stack);
    pthread_t *all = calloc(count, sizeof *all);
    for (int i = 0; i < count; i++) {
        if (pthread_create(&all[i], &attributes, thread, NULL) != 0) return 1;
    }
    for (int i = 0; i < count; i++) pthread_join(all[i], NULL);
    return 0;
}

/* One thread after the other, each of which waits for a line. */
static int threads_in_turn(int count) {
    for (int i = 0; i < count; i++) {
        pthread_t one;
        if (pthread_create(&one, NULL, thread, NULL) != 0) return 1;
        pthread_join(one, NULL);
        puts("joined");
        if (getchar_unlocked() == EOF) return 2;
    }
    return 0;
}

/* Frees what its parent allocated, and has children of its own. */
static int forks(void) {
    void *mine[100];
    for (int i = 0; i < 100; i++) mine[i] = malloc(10000);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 100; i++) free(mine[i]);
        for (int i = 0; i < 50; i++) free(malloc(20000));
        pid_t grandchild = fork();
        if (grandchild == 0) {
            for (int i = 0; i < 25; i++) free(malloc(30000));
            execl("/proc/self/exe", "executed", "chain", NULL);
        }
        int status;
        waitpid(grandchild, &status, 0);
        fflush(stdout);
        _exit(status);
    }
    if (vfork() == 0) _exit(malloc(1) == NULL);
    int status;
    waitpid(child, &status, 0);
    for (int i = 0; i < 100; i++) free(mine[i]);
    return status;
}

/* Signal handlers that allocate, and that jump out of whatever they hit. */
static sigjmp_buf back;
static volatile sig_atomic_t signals, may_jump;
static void on_alarm(int number) {
    (void)number;
    signals++;
    free(malloc(50));
    if (may_jump && signals % 3 == 0) siglongjmp(back, 1);
}
static void *volatile small;
static int jumps(void) {
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 200}, {0, 200}};
    setitimer(ITIMER_REAL, &often, NULL);
    /* An allocator may not be jumped out of: ours is this one, and does not
     * mind. */
    while (signals < 600) {
        if (sigsetjmp(back, 1) == 0) {
            may_jump = 1;
            for (int i = 0; i < 1000; i++) free(NULL), free(small), small = malloc(i);
        }
        may_jump = 0;
    }
    return 0;
}

#ifdef OWN_ALLOCATOR
static char arena[1 << 20];
static size_t used;
void *malloc(size_t size) {
    char *p = arena + used % (sizeof arena / 2);
    used += (size + 15) & ~(size_t)15;
    return p;
}
void free(void *p) { (void)p; }
#endif

/* Opens and closes a library that allocates. */
#include <dlfcn.h>
static int libraries(const char *const *paths) {
    for (int i = 0; i < 50; i++) {
        void *library = dlopen(paths[i % 2], RTLD_NOW);
        if (!library) return puts(dlerror()), 1;
        void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(library, "allocate");
        if (!allocate) return 2;
        free(allocate(54321));
        dlclose(library);
    }
    return 0;
}

/* Time for a pair of calls, below so many frames. */
FRAME static void pair(unsigned depth) {
    if (depth > 0) {
        pair(depth - 1);
    } else {
        void *volatile p = malloc(64);
        free(p);
    }
    NOT_A_TAIL_CALL();
}
static int bench(void) {
    const long rounds = 100000;
    for (int what = 0; what < 2; what++) {
        double best = 1e9;
        for (int attempt = 0; attempt < 60; attempt++) {
            struct timespec start, end;
            clock_gettime(CLOCK_MONOTONIC, &start);
            if (what == 0) {
                for (long i = 0; i < rounds; i++) pair((unsigned)i & 15);
            } else {
                for (long i = 0; i < rounds; i++) { void *volatile p = malloc(64); free(p); }
            }
            clock_gettime(CLOCK_MONOTONIC, &end);
            double ns = (end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec);
            if (ns / rounds < best) best = ns / rounds;
        }
        printf("%s %.1f ns\n", what == 0 ? "depth 2 to 17" : "one place", best);
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    /* So that libc allocates nothing for it. */
    static char buffer[4096];
    setvbuf(stdout, buffer, _IOLBF, sizeof buffer);
    if (!strcmp(what, "counts")) return counts();
    if (!strcmp(what, "chain")) return chain();
    if (!strcmp(what, "walk")) return walk(argv[2]);
    if (!strcmp(what, "sink")) return sink(5000), 0;
    if (!strcmp(what, "threads")) return threads(atoi(argv[2]), argc > 3 ? atoi(argv[3]) : 0);
    if (!strcmp(what, "turns")) return threads_in_turn(atoi(argv[2]));
    if (!strcmp(what, "forks")) return forks();
    if (!strcmp(what, "jumps")) return jumps();
    if (!strcmp(what, "libraries")) return libraries((const char *const *)argv + 2);
    if (!strcmp(what, "bench")) return bench();
    return 9;
}
