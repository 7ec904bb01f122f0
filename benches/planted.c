/* Serves requests, of which one step can be made slower: the target of
 * false_alarms.py.
 *
 * A request takes 100 units of work in twelve functions, and PERCENT more in
 * handle_body, which has 20 without. Every other thread waits now and then, so
 * that time goes in bursts, as it does in servers. At the end, prints how many
 * requests were served.
 *
 * With "shared", all work is done in one function that all of them call.
 *
 * planted SECONDS [PERCENT [THREADS ["shared"]]] */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "program.h"

static uint64_t deadline;
static unsigned extra;
static bool shared;
static atomic_ulong served;

FRAME void spend(unsigned units) { work(units); }

/* In the caller's own frame, or in the shared one. */
static inline __attribute__((always_inline)) void take(unsigned units) {
    if (shared)
        spend(units);
    else
        work(units);
}

#define STEP(name, units)       \
    FRAME void name(void) {     \
        take(units);            \
        NOT_A_TAIL_CALL();      \
    }

STEP(read_request, 8)
STEP(parse_method, 2)
STEP(parse_headers, 10)
STEP(check_session, 5)
STEP(find_route, 3)
STEP(decode_body, 12)
STEP(query_cache, 7)
STEP(render_header, 6)
STEP(render_page, 15)
STEP(compress_page, 9)
STEP(write_log, 3)

FRAME void handle_body(void) {
    take(20 + extra);
    NOT_A_TAIL_CALL();
}

FRAME void parse(void) {
    read_request();
    parse_method();
    parse_headers();
    NOT_A_TAIL_CALL();
}

FRAME void handle(void) {
    check_session();
    find_route();
    decode_body();
    query_cache();
    handle_body();
    NOT_A_TAIL_CALL();
}

FRAME void answer(void) {
    render_header();
    render_page();
    compress_page();
    write_log();
    NOT_A_TAIL_CALL();
}

FRAME void serve(void) {
    parse();
    handle();
    answer();
    atomic_fetch_add_explicit(&served, 1, memory_order_relaxed);
}

FRAME void *worker(void *bursts) {
    uint64_t state = 1 + (uint64_t)(uintptr_t)bursts;

    while (now_ns() < deadline) {
        serve();
        if (bursts && next_choice(&state, 20) == 0) {
            struct timespec pause = {0, 1000000L * next_choice(&state, 20)};
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    int threads = argc > 3 ? atoi(argv[3]) : 2;
    pthread_t ids[64];

    if (threads < 1 || threads > 64)
        return 2;
    deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    extra = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    shared = argc > 4 && argv[4][0] == 's';
    for (int i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, worker, (void *)(uintptr_t)(i % 2)))
            return 1;
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    printf("%lu\n", atomic_load(&served));
    return 0;
}
