/* Makes system calls, the same ones each time.
 *
 *     callmaker calls      files, descriptors, sockets; a child that executes
 *                          a program; ends with 7
 *     callmaker second     what that program does
 *     callmaker slow       three calls of 5 ms, a hundred short ones
 *     callmaker block      reads from a pipe that nobody writes to
 *     callmaker threads    four threads, of which number N makes
 *                          100 * (N + 1) calls; each is named caller-N
 *     callmaker lives      40,000 threads, one after the other, of which each makes
 *                          3 calls of one kind, and some of others; the first
 *                          thread makes one for each of them, and pauses for 3 s
 *                          in the middle
 *     callmaker compat     calls by the 32-bit interface
 *     callmaker uring      3 requests to do nothing, by io_uring */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

/* For calls that are meant to fail, and others whose result is of no use. */
static void ignore(long result) { (void)result; }

FRAME void use_files(const char *self) {
    char bytes[64];
    int file = openat(AT_FDCWD, self, O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 7; i++)
        ignore(read(file, bytes, 10 + (size_t)i));
    int copy = dup(file);
    ignore(dup2(copy, 77));
    close(77);
    close(copy);
    close(file);
    close(-1);
    for (int i = 0; i < 3; i++)
        ignore(open("/no/such/file", O_RDWR));
    int null = open("/dev/null", O_WRONLY);
    for (int i = 0; i < 5; i++)
        ignore(write(null, bytes, 3));
    ignore(rename("/no/such/old", "/no/such/new"));
    ignore(chdir("."));
}

FRAME void use_sockets(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int caller = socket(AF_INET, SOCK_STREAM, 0);
    ignore(connect(caller, (struct sockaddr *)&address, sizeof address));
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_port = 0;
    ignore(bind(listener, (struct sockaddr *)&address, sizeof address));
    ignore(listen(listener, 1));
    socklen_t length = sizeof address;
    ignore(getsockname(listener, (struct sockaddr *)&address, &length));
    ignore(connect(caller, (struct sockaddr *)&address, length));
    struct sockaddr_in peer;
    length = sizeof peer;
    ignore(accept(listener, (struct sockaddr *)&peer, &length));
}

FRAME void use_processes(const char *self) {
    pid_t child = fork();
    if (child == 0) {
        execl("/no/such/program", "program", (char *)NULL);
        execl(self, "second-name", "second", (char *)NULL);
        _exit(127);
    }
    int status;
    waitpid(child, &status, 0);
    ignore(waitpid(-1, &status, 0));
}

FRAME void second(void) {
    for (int i = 0; i < 11; i++)
        syscall(SYS_getppid);
}

static void sleep_ns(long ns) {
    struct timespec time = {0, ns};
    nanosleep(&time, NULL);
}

FRAME void slow(void) {
    for (int i = 0; i < 3; i++)
        sleep_ns(5000000);
    for (int i = 0; i < 100; i++)
        syscall(SYS_getppid);
}

FRAME void block(void) {
    int ends[2];
    char byte;
    if (pipe(ends) != 0)
        exit(1);
    say("ready");
    ignore(read(ends[0], &byte, 1));
}

FRAME void *caller(void *number) {
    char name[16];
    snprintf(name, sizeof name, "caller-%ld", (long)number);
    pthread_setname_np(pthread_self(), name);
    for (long i = 0; i < 100 * ((long)number + 1); i++)
        syscall(SYS_getppid);
    return NULL;
}

FRAME void *life(void *unused) {
    for (int i = 0; i < 3; i++)
        syscall(SYS_getppid);
    for (int i = 0; i < 2; i++) {
        syscall(SYS_getuid);
        syscall(SYS_getgid);
        syscall(SYS_geteuid);
        syscall(SYS_getegid);
        syscall(SYS_getpid);
    }
    return unused;
}

FRAME void lives(void) {
    for (int i = 0; i < 40000; i++) {
        pthread_t thread;
        /* Long enough for sums to be taken while it goes on, however fast that is. */
        if (i == 20000)
            sleep(3);
        pthread_create(&thread, NULL, life, NULL);
        pthread_join(thread, NULL);
        syscall(SYS_getppid);
    }
}

FRAME void threads(void) {
    pthread_t all[4];
    for (long i = 0; i < 4; i++)
        pthread_create(&all[i], NULL, caller, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(all[i], NULL);
}

static long call32(long number, long argument) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(argument) : "memory");
    return result;
}

/* 20 is getpid there, 6 is close; here, they are writev and lstat. */
FRAME void compat(void) {
    for (int i = 0; i < 5; i++)
        call32(20, 0);
    for (int i = 0; i < 2; i++)
        call32(6, 12345);
}

FRAME void uring(void) {
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
    if (ring < 0) {
        perror("io_uring_setup");
        exit(1);
    }
    size_t length = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    int shared = MAP_SHARED | MAP_POPULATE;
    char *queue = mmap(NULL, length, PROT_READ | PROT_WRITE, shared, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entries = mmap(NULL, params.sq_entries * sizeof *entries,
                                        PROT_READ | PROT_WRITE, shared, ring, IORING_OFF_SQES);
    if (queue == MAP_FAILED || entries == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    for (unsigned i = 0; i < 3; i++) {
        memset(&entries[i], 0, sizeof entries[i]);
        entries[i].opcode = IORING_OP_NOP;
        ((unsigned *)(queue + params.sq_off.array))[i] = i;
    }
    __atomic_store_n((unsigned *)(queue + params.sq_off.tail), 3, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 3, 3, IORING_ENTER_GETEVENTS, NULL, 0) != 3) {
        perror("io_uring_enter");
        exit(1);
    }
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "calls") == 0) {
        use_files(argv[0]);
        use_sockets();
        use_processes(argv[0]);
        return 7;
    } else if (strcmp(what, "second") == 0) {
        second();
    } else if (strcmp(what, "slow") == 0) {
        slow();
    } else if (strcmp(what, "block") == 0) {
        block();
    } else if (strcmp(what, "threads") == 0) {
        threads();
    } else if (strcmp(what, "lives") == 0) {
        lives();
    } else if (strcmp(what, "compat") == 0) {
        compat();
    } else if (strcmp(what, "uring") == 0) {
        uring();
    } else {
        return 2;
    }
    return 0;
}
