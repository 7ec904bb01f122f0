/* CPU burned in a signal handler, above a known chain of calls.
 *
 * raise (the default): the chain sends the signal itself.
 *     main > outer > middle > inner > … > raise > … > signal frame
 *         > on_signal > handler_burn    80 %
 *     main > outer > middle > inner > inner_burn   20 %
 *
 * timer: the signal arrives every 5 ms of CPU time wherever inner_burn happens
 * to be, a leaf without a frame pointer; the handler burns about 1 ms.
 *     main > outer > middle > inner > inner_burn > signal frame
 *         > on_signal > handler_burn    about 20 %
 *
 * alt: the handler runs on an alternate signal stack.
 *
 * sigframe [SECONDS] [raise|timer] [alt] */
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "program.h"

static unsigned handler_units = 8;
static int raises = 1;

FRAME void handler_burn(void) { work(handler_units); }

FRAME void on_signal(int signal) {
    (void)signal;
    handler_burn();
    NOT_A_TAIL_CALL();
}

FRAME void inner_burn(void) { work(2); }

FRAME void inner(void) {
    if (raises)
        raise(SIGUSR1);
    inner_burn();
    NOT_A_TAIL_CALL();
}

FRAME void middle(void) {
    inner();
    NOT_A_TAIL_CALL();
}

FRAME void outer(uint64_t deadline) {
    while (now_ns() < deadline)
        middle();
}

int main(int argc, char **argv) {
    static char alternate_stack[65536];
    uint64_t deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    raises = !(argc > 2 && strcmp(argv[2], "timer") == 0);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (argc > 3 && strcmp(argv[3], "alt") == 0) {
        stack_t stack = {.ss_sp = alternate_stack, .ss_size = sizeof alternate_stack};
        sigaltstack(&stack, NULL);
        action.sa_flags |= SA_ONSTACK;
    }
    sigaction(raises ? SIGUSR1 : SIGPROF, &action, NULL);
    if (!raises) {
        handler_units = 130;
        struct itimerval every = {{0, 5000}, {0, 5000}};
        setitimer(ITIMER_PROF, &every, NULL);
    }
    say("ready");
    outer(deadline);
    return 0;
}
