/* Allocates and frees, and tells how long a pair took: the target of
 * allocations.py.
 *
 * From call depths 2 to 17, in changing order as a program's own calls do, of
 * sizes 1 to 500. Prints the nanoseconds per pair, and how many pairs.
 *
 * pairs COUNT [THREADS] */
#include <pthread.h>
#include <unistd.h>

#include "program.h"

enum { SHALLOW = 2, DEEPEST = 17, PAIRS_PER_VISIT = 4 };

static long count;
static void *volatile sink;

FRAME void allocate(uint64_t *state) {
    for (int i = 0; i < PAIRS_PER_VISIT; i++) {
        sink = malloc(1 + next_choice(state, 500));
        free(sink);
    }
}

FRAME void descend(int levels, uint64_t *state) {
    if (levels > 0)
        descend(levels - 1, state);
    else
        allocate(state);
    NOT_A_TAIL_CALL();
}

FRAME void *run(void *unused) {
    uint64_t state = 1;
    /* This function, its caller and allocate() are part of the depth. */
    for (long i = 0; i < count / PAIRS_PER_VISIT; i++)
        descend((int)next_choice(&state, DEEPEST - SHALLOW), &state);
    return unused;
}

int main(int argc, char **argv) {
    count = argc > 1 ? atol(argv[1]) : 1000000;
    long threads = argc > 2 ? atol(argv[2]) : 1;
    pthread_t others[64];
    uint64_t start = now_ns();
    for (long i = 1; i < threads && i < 64; i++)
        if (pthread_create(&others[i], NULL, run, NULL) != 0)
            return 1;
    run(NULL);
    for (long i = 1; i < threads && i < 64; i++)
        pthread_join(others[i], NULL);
    printf("%.3f %ld\n", (double)(now_ns() - start) / (double)count, count * threads);
    return 0;
}
