/* A library that allocates, with a stack frame of SPACE bytes. */
#include <stdlib.h>

__attribute__((noipa)) static void *inner(size_t size) {
    volatile char space[SPACE];
    space[0] = 1;
    void *p = malloc(size);
    __asm__ volatile("" : : "m"(space));
    return p;
}

void *allocate(size_t size) {
    void *p = inner(size);
    __asm__ volatile("");
    return p;
}
