/* Starts children one after another, which burn and exit.
 *
 *     main > fork_loop > parent_burn                        20 %
 *     main > fork_loop > child_red   (fork)                 40 %
 *     main > fork_loop > child_blue  (fork)                 20 %
 *     main > exec_child              (vfork and exec)       20 %
 *
 * At the end the number of children is printed as "children N".
 *
 * forker [SECONDS] */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

/* Units per tenth of a cycle: about 5 ms, far more than a fork costs. */
#define TENTH 500

FRAME void parent_burn(void) { work(2 * TENTH); }
FRAME void child_red(void) { work(4 * TENTH); }
FRAME void child_blue(void) { work(2 * TENTH); }
FRAME void exec_child(void) { work(2 * TENTH); }

static void wait_for(pid_t child) {
    if (child < 0 || waitpid(child, NULL, 0) < 0) {
        perror("child");
        exit(1);
    }
}

static void fork_to(void (*burn)(void)) {
    pid_t child = fork();
    if (child == 0) {
        burn();
        _exit(0);
    }
    wait_for(child);
}

static void vfork_and_exec(void) {
    pid_t child = vfork();
    if (child == 0) {
        execl("/proc/self/exe", "forker-exec", "0", "exec-child", (char *)NULL);
        _exit(127);
    }
    wait_for(child);
}

FRAME long fork_loop(uint64_t deadline) {
    long children = 0;
    while (now_ns() < deadline) {
        parent_burn();
        fork_to(child_red);
        fork_to(child_blue);
        vfork_and_exec();
        children += 3;
    }
    return children;
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[2], "exec-child") == 0) {
        exec_child();
        return 0;
    }
    uint64_t deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    say("ready");
    printf("children %ld\n", fork_loop(deadline));
    return 0;
}
