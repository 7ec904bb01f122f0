/* Faults that are to be found, each with a program beside it that looks like it and has
 * none.
 *
 *     faulty locks           four threads, in `deposit` with a lock nearly all the time
 *     faulty queue           four threads that wait in a condition variable for work
 *     faulty upload FILE     `upload` writes and syncs 4 KiB at a time
 *     faulty save FILE       `save` syncs a megabyte once in a while
 *     faulty letters FILE    `letters` writes one byte at a time
 *     faulty pages FILE      `pages` writes as many in large pieces
 *     faulty spin            `spin` asks poll without waiting
 *     faulty tick            `tick` has poll wait for a tenth of a second
 *     faulty hoard           `hoard` keeps every line of a log, for a second or two
 *     faulty ring            `ring` keeps the last thousand
 *     faulty churn           `churn` frees at once what it allocates
 *     faulty scan FILE       `scan` reads a file that is not cached
 *     faulty again FILE      `again` reads one that is
 *     faulty search          `search` looks for files that are not there
 *     faulty find            `find` looks for one that is
 *     faulty resolve         `resolve` looks up a name of a host for each request
 *     faulty serve           `serve` does so once for many
 *     faulty map             `map` gets and gives back large memory
 *     faulty touch           `touch` goes on with the same
 *     faulty copy            `copy` copies and clears it
 *     faulty move            `move` copies a piece and works on it
 *     faulty clear           `clear` fills it with zeros, again and again
 *     faulty wipe            `wipe` does so before each piece of longer work
 *     faulty alone           `busy` computes, and four threads wait for work
 *     faulty crowd           four threads compute on one CPU
 *     faulty busy            `busy` computes */
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program.h"

#define THREADS 4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_work = PTHREAD_COND_INITIALIZER;
static int jobs;

FRAME void deposit(void) {
    pthread_mutex_lock(&lock);
    work(50);
    pthread_mutex_unlock(&lock);
}

static void *teller(void *nothing) {
    for (;;)
        deposit();
    return nothing;
}

FRAME void take_job(void) {
    pthread_mutex_lock(&lock);
    while (jobs == 0)
        pthread_cond_wait(&has_work, &lock);
    jobs--;
    pthread_mutex_unlock(&lock);
    work(10);
}

static void *worker(void *nothing) {
    for (;;)
        take_job();
    return nothing;
}

static void start(void *(*entry)(void *)) {
    pthread_t thread;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread, NULL, entry, NULL);
}

FRAME void queue(void) {
    for (;;) {
        usleep(50000);
        pthread_mutex_lock(&lock);
        jobs += THREADS;
        pthread_cond_broadcast(&has_work);
        pthread_mutex_unlock(&lock);
    }
}

static char block[1 << 20];

static void put(int fd, size_t size) {
    /* No file grows without end. */
    if (lseek(fd, 0, SEEK_CUR) > (8 << 20))
        lseek(fd, 0, SEEK_SET);
    if (write(fd, block, size) != (ssize_t)size)
        exit(1);
}

FRAME void upload(int fd) {
    for (;;) {
        put(fd, 4096);
        fsync(fd);
    }
}

FRAME void save(int fd) {
    for (;;) {
        put(fd, sizeof block);
        fsync(fd);
        usleep(100000);
    }
}

FRAME void letters(int fd) {
    for (;;)
        put(fd, 1);
}

FRAME void pages(int fd) {
    for (;;) {
        put(fd, 1 << 16);
        work(100);
    }
}

FRAME void spin(void) {
    struct pollfd input = {.fd = -1, .events = POLLIN};
    for (;;)
        poll(&input, 1, 0);
}

FRAME void tick(void) {
    struct pollfd input = {.fd = -1, .events = POLLIN};
    for (;;)
        poll(&input, 1, 100);
}

#define LINES 30000

static char *lines[LINES];

static char *line(void) {
    work(5);
    return memset(malloc(1000), 'x', 1000);
}

FRAME void hoard(void) {
    for (size_t i = 0; i < LINES; i++)
        lines[i] = line();
}

FRAME void ring(void) {
    for (size_t i = 0; i < LINES; i++) {
        free(lines[i % 1000]);
        lines[i % 1000] = line();
    }
}

FRAME void churn(void) {
    for (size_t i = 0; i < 100 * LINES; i++) {
        char *volatile text = malloc(24);
        free(text);
    }
}

FRAME void scan(int fd) {
    for (int i = 0; i < 64; i++)
        put(fd, sizeof block / 8);
    fsync(fd);
    for (off_t at = 0;; at = (at + 65536) % (8 << 20)) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        if (pread(fd, block, 4096, at) != 4096)
            exit(1);
    }
}

FRAME void again(int fd) {
    put(fd, sizeof block);
    for (;;) {
        if (pread(fd, block, 4096, 0) != 4096)
            exit(1);
        work(10);
    }
}

FRAME void search(void) {
    struct stat status;
    for (;;)
        if (!stat("/nowhere/module.so", &status) || !stat("/usr/nowhere/module.so", &status))
            exit(1);
}

FRAME void find(void) {
    struct stat status;
    for (;;)
        if (stat("/proc/self/exe", &status))
            exit(1);
}

static void look_up(void) {
    struct addrinfo *found;
    if (!getaddrinfo("localhost", "80", NULL, &found))
        freeaddrinfo(found);
}

FRAME void resolve(void) {
    for (;;)
        look_up();
}

FRAME void serve(void) {
    for (;;) {
        look_up();
        work(100000);
    }
}

#define LARGE (16 << 20)

static char *mapped(void) {
    return mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

FRAME void map(void) {
    for (;;) {
        char *memory = mapped();
        madvise(memory, LARGE, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < LARGE; i += 4096)
            memory[i] = 1;
        munmap(memory, LARGE);
    }
}

FRAME void touch(void) {
    char *memory = mapped();
    for (;;)
        for (size_t i = 0; i < LARGE; i += 4096)
            memory[i]++;
}

FRAME void copy(void) {
    char *from = mapped(), *to = mapped();
    for (;;) {
        memcpy(to, from, LARGE);
        memset(from, 0, LARGE);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
}

FRAME void move(void) {
    char *from = mapped(), *to = mapped();
    for (;;) {
        memcpy(to, from, 1 << 16);
        __asm__ volatile("" : : "r"(to) : "memory");
        work(100000);
    }
}

FRAME void clear(void) {
    char *memory = mapped();
    for (;;) {
        memset(memory, 0, LARGE);
        __asm__ volatile("" : : "r"(memory) : "memory");
    }
}

FRAME void wipe(void) {
    char *memory = mapped();
    for (;;) {
        memset(memory, 0, 1 << 16);
        __asm__ volatile("" : : "r"(memory) : "memory");
        work(100000);
    }
}

FRAME void busy(void) {
    for (;;)
        work(100);
}

static void *computer(void *unused) {
    busy();
    return unused;
}

static void stay_here(void) {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    int fd = argc > 2 ? open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
    say("ready");
    if (!strcmp(what, "locks"))
        start(teller);
    else if (!strcmp(what, "queue"))
        start(worker), queue();
    else if (!strcmp(what, "upload"))
        upload(fd);
    else if (!strcmp(what, "save"))
        save(fd);
    else if (!strcmp(what, "letters"))
        letters(fd);
    else if (!strcmp(what, "pages"))
        pages(fd);
    else if (!strcmp(what, "spin"))
        spin();
    else if (!strcmp(what, "tick"))
        tick();
    else if (!strcmp(what, "hoard"))
        return hoard(), 0;
    else if (!strcmp(what, "ring"))
        return ring(), 0;
    else if (!strcmp(what, "churn"))
        return churn(), 0;
    else if (!strcmp(what, "scan"))
        scan(fd);
    else if (!strcmp(what, "again"))
        again(fd);
    else if (!strcmp(what, "search"))
        search();
    else if (!strcmp(what, "find"))
        find();
    else if (!strcmp(what, "resolve"))
        resolve();
    else if (!strcmp(what, "serve"))
        serve();
    else if (!strcmp(what, "map"))
        map();
    else if (!strcmp(what, "touch"))
        touch();
    else if (!strcmp(what, "copy"))
        copy();
    else if (!strcmp(what, "move"))
        move();
    else if (!strcmp(what, "clear"))
        clear();
    else if (!strcmp(what, "wipe"))
        wipe();
    else if (!strcmp(what, "crowd"))
        stay_here(), start(computer);
    else if (!strcmp(what, "alone"))
        start(worker), busy();
    else if (!strcmp(what, "busy"))
        busy();
    else
        return 2;
    pause();
    return 0;
}
