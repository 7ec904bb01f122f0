/* The library that dlopen.c loads. */
#include "program.h"

FRAME void plugin_leaf(void) { work(10); }

FRAME void plugin_run(void) {
    plugin_leaf();
    NOT_A_TAIL_CALL();
}
