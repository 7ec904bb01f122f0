/* A storm of children, each burning some milliseconds, one after the other;
 * every fourth starts a child of its own that burns, too.
 *
 *     main > storm > child > burn                  (fork)
 *     main > storm > child > grandchild > burn     (fork in the child)
 *
 * Prints "child PID" for each of them.
 *
 * forkstorm [SECONDS] */
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

/* About 16 ms, so that a virtual machine that stands still does not hide one. */
#define UNITS 2000

FRAME void burn(void) { work(UNITS); }

FRAME void grandchild(void) {
    burn();
    _exit(0);
}

FRAME void child(int has_child) {
    burn();
    if (has_child) {
        pid_t pid = fork();
        if (pid == 0)
            grandchild();
        dprintf(1, "child %d\n", (int)pid);
        waitpid(pid, NULL, 0);
    }
    _exit(0);
}

FRAME void storm(uint64_t deadline) {
    for (int i = 0; now_ns() < deadline; i++) {
        pid_t pid = fork();
        if (pid == 0)
            child(i % 4 == 0);
        if (pid < 0) {
            perror("fork");
            exit(1);
        }
        dprintf(1, "child %d\n", (int)pid);
        waitpid(pid, NULL, 0);
    }
}

int main(int argc, char **argv) {
    uint64_t deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    say("ready");
    storm(deadline);
    return 0;
}
