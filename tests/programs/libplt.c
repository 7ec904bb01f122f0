/* The callee of plt.c. */
#include "program.h"

FRAME uint64_t tiny(uint64_t x) { return x * 3 + 1; }
