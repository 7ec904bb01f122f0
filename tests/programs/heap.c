/* Allocates by plan: what is leaked, what the peak is, what is temporary, is
 * known to the byte.
 *
 *     main > run > leak            LEAKS objects that nobody frees
 *     main > run > temporary       freed before the next allocation
 *     main > run > build           BLOCKS objects that make the peak
 *     main > run > grow            one object that realloc enlarges
 *     main > run > variety         calloc, aligned and empty ones
 *     main > run > deep > … > deep 17 frames deep
 *
 * heap [ROUNDS of all but the leak, 1 by default] */
#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "program.h"

enum { LEAKS = 100, TEMPORARY = 5000, BLOCKS = 2000, STEPS = 10, DEEP = 500 };

static void *volatile sink;
static void *blocks[BLOCKS];

FRAME void leak(void) {
    for (int i = 0; i < LEAKS; i++)
        sink = malloc(1000);
}

FRAME void temporary(void) {
    for (int i = 0; i < TEMPORARY; i++) {
        sink = malloc(64);
        free(sink);
    }
}

FRAME void build(void) {
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(4096);
}

FRAME void tear_down(void) {
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

FRAME void grow(void) {
    char *object = NULL;
    for (int i = 1; i <= STEPS; i++)
        sink = object = realloc(object, (size_t)i * 1000);
    free(object);
}

FRAME void variety(void) {
    void *objects[5];
    objects[0] = calloc(10, 50);
    if (posix_memalign(&objects[1], 64, 640) != 0)
        abort();
    objects[2] = aligned_alloc(64, 128);
    objects[3] = memalign(32, 100);
    objects[4] = malloc(0);
    for (int i = 0; i < 5; i++)
        free(objects[i]);
    free(NULL);
    errno = 0;
    sink = malloc(SIZE_MAX / 2);
    if (sink != NULL || errno != ENOMEM)
        abort();
}

FRAME void deep(int levels) {
    if (levels > 0) {
        deep(levels - 1);
        NOT_A_TAIL_CALL();
        return;
    }
    for (int i = 0; i < DEEP; i++) {
        void *first = malloc(24), *second = malloc(240);
        sink = first;
        free(first);
        sink = second;
        free(second);
    }
}

FRAME void run(int rounds) {
    leak();
    for (int i = 0; i < rounds; i++) {
        temporary();
        build();
        tear_down();
        grow();
        variety();
        deep(14);
    }
}

int main(int argc, char **argv) {
    run(argc > 1 ? atoi(argv[1]) : 1);
    return 0;
}
