/* Sets a rule for itself, then goes on allocating: `rules RULE`. Prints "ok" and exits
 * with 0 unless the rule was broken, or something that it must not see has changed. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

enum { BEFORE = 1000, AFTER = 500 };

FRAME static void allocate(int times) {
    for (int i = 0; i < times; i++) {
        char *volatile object = malloc(100);
        *object = 1;
        free(object);
        NOT_A_TAIL_CALL();
    }
}

/* As far down the stack as nothing was called before. */
FRAME static void allocate_below(size_t pages) {
    char frame[4096];
    __asm__ volatile("" : : "r"(frame) : "memory");
    if (pages == 0)
        allocate(AFTER);
    else
        allocate_below(pages - 1);
    NOT_A_TAIL_CALL();
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void check(int result, const char *what) {
    if (result < 0) die(what);
}

/* The last words, by nothing but what strict seccomp allows. */
_Noreturn static void end(void) {
    if (write(1, "ok\n", 3) != 3) syscall(SYS_exit, 3);
    for (;;) syscall(SYS_exit, 0);
}

static void limit(int what, rlim_t amount) {
    struct rlimit limits = {amount, amount};
    check(setrlimit(what, &limits), "setrlimit");
}

/* Kills the process at any call but those that allocating and ending need. */
static void filter(int by_number) {
    static const int allowed[] = {SYS_write,    SYS_exit,    SYS_exit_group, SYS_brk, SYS_mmap,
                                  SYS_munmap,   SYS_mprotect, SYS_madvise};
    enum { COUNT = sizeof allowed / sizeof *allowed };
    struct sock_filter code[COUNT + 3];
    code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++)
        code[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], COUNT - i, 0);
    code[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {COUNT + 3, code};
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    if (by_number)
        check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
    else
        check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "PR_SET_SECCOMP");
    allocate_below(20);
}

static void *in_thread(void *unused) {
    allocate(AFTER);
    return unused;
}

static void run_thread(size_t stack) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (stack != 0) check(-pthread_attr_setstacksize(&attributes, stack), "stack of a thread");
    check(-pthread_create(&thread, &attributes, in_thread, NULL), "thread");
    pthread_join(thread, NULL);
}

static char *volatile on_stack;
static size_t allocations_of_handler;

static void on_signal(int signal) {
    (void)signal;
    char here;
    on_stack = &here;
    allocate(allocations_of_handler);
}

/* Once with room, to see what the kernel needs of it, and then with 2 KiB besides. */
static void small_signal_stack(void) {
    enum { ROOM = 16 * 4096 };
    char *room = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(mprotect(room + 4096, ROOM - 4096, PROT_READ | PROT_WRITE), "mprotect");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    check(sigaction(SIGUSR1, &action, NULL), "sigaction");
    stack_t stack = {.ss_sp = room + 4096, .ss_size = ROOM - 4096};
    check(sigaltstack(&stack, NULL), "sigaltstack");
    raise(SIGUSR1);
    stack.ss_size = room + ROOM - on_stack + 2048;
    check(sigaltstack(&stack, NULL), "sigaltstack of 2 KiB");
    allocations_of_handler = AFTER;
    raise(SIGUSR1);
}

static void expect_success(pid_t child) {
    int status;
    check(child, "child");
    if (waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "child: status %x\n", status);
        exit(1);
    }
}

static void vfork_children(void) {
    for (int i = 0; i < 20; i++) {
        char *arguments[] = {"true", NULL};
        pid_t child = vfork();
        if (child == 0) {
            allocate(10);
            execv("/bin/true", arguments);
            _exit(1);
        }
        expect_success(child);
    }
}

/* A child that the C library knows nothing of. */
static void cloned_child(void) {
    pid_t child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        allocate(AFTER);
        syscall(SYS_exit_group, 0);
    }
    expect_success(child);
}

/* What is opened next has the first number, and stays open. */
static void no_descriptors(void) {
    check(syscall(SYS_close_range, 3, ~0u, 0), "close_range");
    allocate(AFTER);
    if (open("/dev/null", O_RDONLY) != 3) die("the first descriptor");
    run_thread(0);
    if (fcntl(3, F_GETFD) < 0) die("a descriptor was closed");
}

static void memory_limit(void) {
    char line[256];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmSize: %ld", &kib) == 1) break;
    fclose(status);
    limit(RLIMIT_AS, (rlim_t)(kib + 8192) << 10);
    char *volatile large = malloc(4 << 20);
    if (large == NULL) die("4 MiB of 8");
    memset(large, 1, 4 << 20);
    char *volatile too_large = malloc(64 << 20);
    if (too_large != NULL || errno != ENOMEM) die("64 MiB of 8");
    free(large);
}

/* Most of the pages between two frames and of these are out of reach for a while. */
FRAME static void with_a_lock(char *low, char *high) {
    char *from = (char *)((uintptr_t)low & ~4095ul), *to = (char *)((uintptr_t)high & ~4095ul);
    int key = pkey_alloc(0, 0);
    if (key < 0) {
        puts("no keys");
        exit(0);
    }
    allocate(10);
    check(pkey_mprotect(from, to - from, PROT_READ | PROT_WRITE, key), "pkey_mprotect");
    check(pkey_set(key, PKEY_DISABLE_ACCESS), "pkey_set");
    allocate(AFTER);
    check(pkey_set(key, 0), "pkey_set");
    NOT_A_TAIL_CALL();
}

FRAME static void lower_frame(char *high) {
    char frame[4 * 4096];
    with_a_lock(frame + sizeof frame / 2, high);
    NOT_A_TAIL_CALL();
}

FRAME static void keys(void) {
    char frame[4 * 4096];
    lower_frame(frame + sizeof frame / 2);
    NOT_A_TAIL_CALL();
}

static void unmap(char *start, size_t length) {
    static int turn;
    check(turn++ % 2 ? munmap(start, length) : (int)syscall(SYS_munmap, start, length), "munmap");
}

static void replace(char *start, size_t length) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (mmap(start, length, PROT_READ | PROT_WRITE, flags, -1, 0) != start) die("mmap");
}

/* Does that with all mapped files that are not the program's, or with what is shared. */
static void with_unknown(void (*change)(char *, size_t), int all) {
    static char maps[1 << 16];
    size_t length = 0;
    ssize_t got;
    int file = open("/proc/self/maps", O_RDONLY);
    check(file, "maps");
    while ((got = read(file, maps + length, sizeof maps - 1 - length)) > 0) length += got;
    close(file);
    for (char *line = strtok(maps, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        unsigned long start, end;
        char rights[5], path[256] = "";
        sscanf(line, "%lx-%lx %4s %*s %*s %*s %255s", &start, &end, rights, path);
        int is_known = path[0] != '/' || strstr(path, "/rules") || strstr(path, "/libc") ||
                       strstr(path, "/ld-linux");
        if (all ? !is_known : rights[3] == 's') change((char *)start, end - start);
    }
}

/* Down to 2 KiB above the end of the stack. */
FRAME static void allocate_above(char *end) {
    char frame[512];
    __asm__ volatile("" : : "r"(frame) : "memory");
    if (frame < end + 2048 + 2 * sizeof frame)
        allocate(AFTER);
    else
        allocate_above(end);
    NOT_A_TAIL_CALL();
}

static void stack_limit(void) {
    char here;
    /* The program's name is the first thing on it. */
    char *begin = (char *)((getauxval(AT_EXECFN) + 4095) & ~4095ul);
    size_t size = (begin - &here + 16 * 4096) & ~4095ul;
    limit(RLIMIT_STACK, size);
    allocate_above(begin - size);
}

int main(int count, char **arguments) {
    const char *rule = count > 1 ? arguments[1] : "";
    int is_known = 1;
    allocate(BEFORE);
    if (strcmp(rule, "tsc") == 0)
        check(prctl(PR_SET_TSC, PR_TSC_SIGSEGV), "PR_SET_TSC");
    else if (strcmp(rule, "strict") == 0)
        check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), "strict seccomp");
    else if (strcmp(rule, "tsc-by-number") == 0)
        check(syscall(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV), "PR_SET_TSC");
    else if (strcmp(rule, "strict-by-number") == 0)
        check(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL), "strict seccomp");
    else if (strcmp(rule, "filter") == 0)
        filter(0);
    else if (strcmp(rule, "filter-by-number") == 0)
        filter(1);
    else if (strcmp(rule, "keys") == 0)
        keys();
    else if (strcmp(rule, "unmap") == 0)
        with_unknown(unmap, 1), run_thread(0);
    else if (strcmp(rule, "replace") == 0)
        with_unknown(replace, 0), run_thread(0);
    else if (strcmp(rule, "stack") == 0)
        stack_limit();
    else if (strcmp(rule, "descriptors") == 0)
        no_descriptors();
    else if (strcmp(rule, "memory") == 0)
        memory_limit();
    else if (strcmp(rule, "files") == 0)
        limit(RLIMIT_NOFILE, 3), run_thread(0);
    else if (strcmp(rule, "file-size") == 0)
        limit(RLIMIT_FSIZE, sizeof "ok"), run_thread(0);
    else if (strcmp(rule, "locked") == 0)
        limit(RLIMIT_MEMLOCK, 0), run_thread(0);
    else if (strcmp(rule, "thread-stack") == 0)
        run_thread(PTHREAD_STACK_MIN);
    else if (strcmp(rule, "signal-stack") == 0)
        small_signal_stack();
    else if (strcmp(rule, "vfork") == 0)
        vfork_children();
    else if (strcmp(rule, "clone") == 0)
        cloned_child();
    else
        is_known = strcmp(rule, "none") == 0;
    if (!is_known) {
        fprintf(stderr, "no rule %s\n", rule);
        return 2;
    }
    allocate(AFTER);
    end();
}
