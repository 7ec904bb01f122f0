/* Does system calls when asked, and tells how long they took: the target of
 * syscalls.py.
 *
 * For each line "N" on standard input, reads 64 bytes from /dev/zero N times
 * and prints the nanoseconds of wall time that this took. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(void) {
    char buffer[64], line[32];
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (zero < 0) {
        perror("/dev/zero");
        return 1;
    }
    while (fgets(line, sizeof line, stdin)) {
        uint64_t start = now_ns();
        for (long long left = atoll(line); left > 0; left--) {
            if (read(zero, buffer, sizeof buffer) != (ssize_t)sizeof buffer)
                return 1;
        }
        printf("%llu\n", (unsigned long long)(now_ns() - start));
        fflush(stdout);
    }
    return 0;
}
