/* A thread whose frame has room that it has not used, of which there is no memory:
 *
 *     start_thread > room_thread > with_room > bottom
 *
 * rooms [SECONDS] */
#include <pthread.h>

#include "program.h"

#define PAGES 5

static uint64_t deadline;

FRAME void bottom(void) { work(5); }

FRAME void with_room(void) {
    char room[PAGES * 4096];
    __asm__ volatile("" : : "r"(room) : "memory");
    bottom();
    NOT_A_TAIL_CALL();
}

FRAME void *room_thread(void *nothing) {
    while (now_ns() < deadline)
        with_room();
    return nothing;
}

int main(int argc, char **argv) {
    deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    pthread_t thread;
    pthread_create(&thread, NULL, room_thread, NULL);
    say("ready");
    pthread_join(thread, NULL);
    return 0;
}
