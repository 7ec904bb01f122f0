/* Makes numbered system calls, one every 5 ms or so: getpgid(1000000000 + N). By signals it
 * is told to do more:
 *
 *     SIGUSR1   spins, until the next one
 *     SIGUSR2   waits for 300 ms in one call of poll
 *     SIGHUP    ends well */
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "program.h"

enum { FIRST = 1000000000 };

static volatile sig_atomic_t spins, waits, ends;

static void on_signal(int number) {
    if (number == SIGUSR1)
        spins = !spins;
    else if (number == SIGUSR2)
        waits = 1;
    else
        ends = 1;
}

FRAME void spin(void) {
    work(100);
    NOT_A_TAIL_CALL();
}

FRAME void wait_long(void) {
    poll(NULL, 0, 300);
    NOT_A_TAIL_CALL();
}

FRAME void call(int number) {
    syscall(SYS_getpgid, FIRST + number);
    NOT_A_TAIL_CALL();
}

int main(void) {
    struct timespec pause = {0, 5000000};
    /* A signal ends no call before its time. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    int signals[] = {SIGUSR1, SIGUSR2, SIGHUP};
    for (int i = 0; i < 3; i++)
        sigaction(signals[i], &action, NULL);
    say("ready");
    for (int number = 0; !ends; number++) {
        call(number);
        if (waits) {
            waits = 0;
            wait_long();
        }
        if (spins)
            spin();
        else
            nanosleep(&pause, NULL);
    }
    return 0;
}
