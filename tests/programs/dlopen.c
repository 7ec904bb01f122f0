/* Loads a library while it runs, then burns in it.
 *
 *     main > before_plugin                              first DELAY_MS
 *     main > with_plugin > plugin_run > plugin_leaf     after that, 100 %
 *
 * Prints "loaded" once the library is mapped. The library lies beside the
 * program.
 *
 * dlopen [SECONDS] [DELAY_MS, 1000 by default] */
#include <dlfcn.h>

#include "program.h"

FRAME void before_plugin(uint64_t until) {
    while (now_ns() < until)
        work(5);
}

FRAME void with_plugin(void (*plugin_run)(void), uint64_t deadline) {
    while (now_ns() < deadline)
        plugin_run();
}

int main(int argc, char **argv) {
    uint64_t deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    uint64_t delay_ms = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
    say("ready");
    before_plugin(now_ns() + delay_ms * 1000000);
    void *library = dlopen("libplugin.so", RTLD_LAZY);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    void (*plugin_run)(void) = (void (*)(void))dlsym(library, "plugin_run");
    if (!plugin_run) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    say("loaded");
    with_plugin(plugin_run, deadline);
    return 0;
}
