/* What all C and C++ targets share: calibrated work, a run time, "ready".
 *
 * Work is counted in units of a fixed number of dependent multiplications, so
 * that shares of CPU time follow from shares of units and not from a clock.
 * Every target takes as its first argument the seconds to run; 0 or nothing
 * means until killed. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A function that stays a frame of its own: not inlined, cloned, merged with
 * an equal one, or called in a way other than the ABI's. */
#define FRAME __attribute__((noipa))

/* After a call in tail position: keeps it a call, so the caller stays on the
 * stack. */
#define NOT_A_TAIL_CALL() __asm__ volatile("")

/* Multiplications in a unit: about 8 microseconds at 4 GHz. */
#define UNIT_STEPS 7500

/* Burns `units` in the caller's own frame. */
static inline __attribute__((always_inline)) void work(unsigned units) {
    uint64_t x = 1;
    for (uint64_t i = (uint64_t)units * UNIT_STEPS; i != 0; i--) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
}

/* The next of a fixed pseudo-random sequence below `bound`. Targets choose
 * their next step by it, so that no period of theirs beats with a sampler's. */
static inline unsigned next_choice(uint64_t *state, unsigned bound) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((*state >> 33) % bound);
}

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* When a target given `seconds` (text, or NULL) ends, on CLOCK_MONOTONIC. */
static inline uint64_t deadline_ns(const char *seconds) {
    double s = seconds ? atof(seconds) : 0;
    return s > 0 ? now_ns() + (uint64_t)(s * 1e9) : UINT64_MAX;
}

/* Prints one line at once, also into a pipe. */
static inline void say(const char *line) {
    puts(line);
    fflush(stdout);
}

#endif
