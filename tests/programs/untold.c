/* Work in functions of which no table tells how to unwind: those of musl, and of
 * assembly. A thread and the first one do the same, which libraries call back.
 *
 *     main, thread_main > run > copies > memcpy
 *                             > sorts >> compare
 *                             > formats
 *                             > signals >> on_signal
 *                             > in_assembly > pushes > clobbers
 *
 * untold [SECONDS] */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "program.h"

void pushes(void);

static char from[1 << 16], to[1 << 16];
static volatile unsigned long sum;

FRAME void copies(void) {
    for (int i = 0; i < 4; i++)
        memcpy(to, from, sizeof to);
    NOT_A_TAIL_CALL();
}

FRAME int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

FRAME void sorts(void) {
    int numbers[100];
    for (int i = 0; i < 100; i++)
        numbers[i] = i * 7919 % 103;
    qsort(numbers, 100, sizeof *numbers, compare);
    sum += (unsigned long)numbers[0];
}

FRAME void formats(void) {
    char text[100];
    for (int i = 0; i < 2; i++)
        sum += (unsigned long)snprintf(text, sizeof text, "%d %f", i, i * 1.5);
}

FRAME void on_signal(int number) {
    (void)number;
    work(1);
}

FRAME void signals(void) {
    raise(SIGUSR1);
    NOT_A_TAIL_CALL();
}

FRAME void in_assembly(void) {
    pushes();
    NOT_A_TAIL_CALL();
}

FRAME void run(uint64_t deadline) {
    while (now_ns() < deadline) {
        copies();
        sorts();
        formats();
        signals();
        in_assembly();
    }
}

FRAME void *thread_main(void *deadline) {
    run(*(uint64_t *)deadline);
    return NULL;
}

int main(int argc, char **argv) {
    uint64_t deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    pthread_t thread;
    signal(SIGUSR1, on_signal);
    if (pthread_create(&thread, NULL, thread_main, &deadline) != 0)
        return 1;
    say("ready");
    run(deadline);
    return pthread_join(thread, NULL);
}
