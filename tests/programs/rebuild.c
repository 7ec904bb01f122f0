/* One load as two builds have it: a function has another name, one is inlined,
 * one is called from elsewhere, and what all of it costs is the same.
 *
 *     built as it is                      built with -DNEW
 *     main > run > parse_record     40 %  main > run > parse_line        40 %
 *                > verify > checksum 30 %             > verify (checksum) 30 %
 *                > load > sort_rows  20 %             > load
 *                > store                              > store > sort_rows 20 %
 *                > render            10 %             > render            10 %
 *
 * load and store work a little themselves, now and then, in both.
 *
 * rebuild [SECONDS] */
#include "program.h"

#ifdef NEW
#define PARSE parse_line
#define CHECKSUM static inline __attribute__((always_inline))
#define LOAD_SORTS 0
#else
#define PARSE parse_record
#define CHECKSUM FRAME
#define LOAD_SORTS 1
#endif

FRAME void PARSE(void) { work(1); }
FRAME void render(void) { work(1); }
FRAME void sort_rows(void) { work(1); }
CHECKSUM void checksum(void) { work(1); }

FRAME void verify(void) {
    checksum();
    NOT_A_TAIL_CALL();
}

FRAME void load(int sort) {
    if (sort)
        sort_rows();
    else
        work(1);
    NOT_A_TAIL_CALL();
}

FRAME void store(int sort) {
    if (sort)
        sort_rows();
    else
        work(1);
    NOT_A_TAIL_CALL();
}

FRAME void run(uint64_t deadline) {
    uint64_t state = 1;
    while (now_ns() < deadline) {
        unsigned choice = next_choice(&state, 104);
        if (choice < 40)
            PARSE();
        else if (choice < 70)
            verify();
        else if (choice < 90)
            LOAD_SORTS ? load(1) : store(1);
        else if (choice < 100)
            render();
        else if (choice < 102)
            load(0);
        else
            store(0);
    }
}

int main(int argc, char **argv) {
    uint64_t deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    say("ready");
    run(deadline);
    return 0;
}
