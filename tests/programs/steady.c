/* Does the same in each round, and so much in all, however long that takes: system calls,
 * allocations, threads and children, which come and go all the time.
 *
 *     main > round > ask           20 times getppid
 *     main > round > allocate      3 objects of 1234 bytes, which live for 50 rounds
 *     main > round > helper        a thread: 5 times getppid
 *     main > round > child         a process: 3 times getppid
 *
 * steady ROUNDS */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

enum { OBJECTS = 3, LIFE = 50 };

static void *objects[LIFE][OBJECTS];

FRAME void ask(int times) {
    for (int i = 0; i < times; i++)
        syscall(SYS_getppid);
}

FRAME void *helper(void *unused) {
    ask(5);
    return unused;
}

FRAME void child(void) {
    ask(3);
    _exit(0);
}

FRAME void allocate(int round) {
    for (int i = 0; i < OBJECTS; i++) {
        void **object = &objects[round % LIFE][i];
        free(*object);
        *object = malloc(1234);
    }
}

FRAME void one_round(int round) {
    pthread_t thread;
    ask(20);
    allocate(round);
    work(50);
    if (pthread_create(&thread, NULL, helper, NULL) != 0)
        exit(1);
    pid_t pid = fork();
    if (pid < 0)
        exit(1);
    if (pid == 0)
        child();
    pthread_join(thread, NULL);
    waitpid(pid, NULL, 0);
    struct timespec pause = {0, 500000};
    nanosleep(&pause, NULL);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    say("ready");
    for (int i = 0; i < rounds; i++)
        one_round(i);
    for (int i = 0; i < LIFE; i++)
        for (int j = 0; j < OBJECTS; j++)
            free(objects[i][j]);
    return 0;
}
