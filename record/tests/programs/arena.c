/* An allocator that may be interrupted, and left, at any time: it hands out
 * the same memory again and again. */
#include <stddef.h>

static char arena[1 << 20];
static size_t used;

void *malloc(size_t size) {
    used = (used + ((size + 15) & ~(size_t)15) + 16) % (sizeof arena / 2);
    return arena + (used & ~(size_t)15);
}

void free(void *p) { (void)p; }
