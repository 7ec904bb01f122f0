/* What looks like CPython 3.11, or like VERSION, and means harm.
 *
 *     main > pretend > burn   nearly all user time
 *
 * Its frames lead in a circle, or nowhere; its code objects have lengths that
 * are not there. `pretend` takes the place of the function that evaluates, and
 * has the cframe on its stack.
 *
 * fakepython [SECONDS] HARM, where HARM is one of
 *     circle     the frame is its own caller
 *     nowhere    its caller is at an address that nobody has
 *     lengths    texts and tables of 2^60
 *     types      the code object is none
 *     threads    threads are in a circle, and this one is not among them */
#include <pthread.h>
#include <string.h>

#include "program.h"

#define SLOTS 64
#define AT(OBJECT, OFFSET) (OBJECT)[(OFFSET) / 8]

typedef uint64_t object[SLOTS];

#ifndef VERSION
#define VERSION 0x030b02f0
#endif

const unsigned Py_Version = VERSION;
object PyCode_Type;
__attribute__((section(".PyRuntime"))) object _PyRuntime = {1};

static object interpreter, thread, frame, code, name, table;

FRAME void burn(uint64_t until) {
    while (now_ns() < until)
        work(10);
}

FRAME void pretend(uint64_t until) {
    volatile uint64_t cframe[3] = {0, (uint64_t)frame, 0};

    AT(thread, 56) = (uint64_t)cframe;
    burn(until);
    NOT_A_TAIL_CALL();
}

static void put_text(uint64_t *text, const char *characters, uint64_t length) {
    AT(text, 16) = length;
    AT(text, 32) = 1 << 2 | 1 << 5 | 1 << 6;
    strcpy((char *)&AT(text, 48), characters);
}

int main(int argc, char **argv) {
    const char *harm = argc > 2 ? argv[2] : "";
    uint64_t length = strcmp(harm, "lengths") ? 4 : 1ull << 60;

    AT(_PyRuntime, 40) = (uint64_t)interpreter;
    AT(interpreter, 0) = (uint64_t)interpreter;
    AT(interpreter, 16) = (uint64_t)thread;
    AT(thread, 8) = (uint64_t)thread;
    AT(thread, 152) = strcmp(harm, "threads") ? (uint64_t)pthread_self() : 1;
    AT(frame, 32) = (uint64_t)code;
    AT(frame, 56) = (uint64_t)&AT(code, 184);
    if (!strcmp(harm, "circle"))
        AT(frame, 48) = (uint64_t)frame;
    else if (!strcmp(harm, "nowhere"))
        AT(frame, 48) = 0x123456789000;
    else
        AT(frame, 64) = 1ull << 32; /* It is an entry. */
    if (strcmp(harm, "types"))
        AT(code, 8) = (uint64_t)PyCode_Type;
    AT(code, 16) = 10;
    put_text(name, "evil", 4);
    AT(code, 120) = (uint64_t)name;
    put_text(table, "evil", length);
    AT(code, 112) = AT(code, 128) = (uint64_t)table;
    AT(code, 136) = (uint64_t)table;
    say("ready");
    pretend(deadline_ns(argc > 1 ? argv[1] : NULL));
    return 0;
}
