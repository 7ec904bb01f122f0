/* Runs a command, and writes what it used: rusage FILE COMMAND [ARGUMENT…].
 *
 * FILE gets "user+system seconds, peak resident KiB, exit code". A process
 * inherits the peak of the one that started it, so the peers are started by
 * this small program and not by the Python script. An interrupt of both is
 * for the command only. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    signal(SIGINT, SIG_IGN);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    int status;
    struct rusage used;
    if (child < 0 || wait4(child, &status, 0, &used) < 0) {
        perror("rusage");
        return 1;
    }
    FILE *file = fopen(argv[1], "w");
    if (!file) {
        perror(argv[1]);
        return 1;
    }
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    fprintf(file, "%f %ld %d\n", seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss, code);
    return fclose(file) == 0 ? 0 : 1;
}
