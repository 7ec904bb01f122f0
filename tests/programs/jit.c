/* Generates two functions at one address, in turn, and publishes them.
 *
 *     main > run_even > even    every other 100 ms
 *     main > run_odd  > odd     in between
 *
 * PUBLISH says how: "map" appends to /tmp/perf-PID.map, "dump" writes a jitdump
 * jit-PID.dump in the current folder, with lines of /src/even.js and
 * /src/odd.js, "ticks" the same but says that its times are the processor's,
 * and "none" does neither. With "once", what comes second never comes. Prints
 * "ready", then "code at ADDRESS".
 *
 *     main > call_trampoline > trampoline > called
 *
 * is what "trampoline" does: code as that of python -X perf, which is in no
 * chain of frame pointers, in the map.
 *
 * jit [SECONDS] [PUBLISH, none by default] [once] */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "program.h"

#define CODE_SIZE 4096
#define PHASE_NS 100000000u
/* Of the call's place in the code below. */
#define LINE_OFFSET 4

typedef void (*function)(void);

static uint8_t *code;
static FILE *dump;

/* push rbp; mov rbp, rsp; mov ecx, STEPS; dec ecx; jne -4; pop rbp; ret */
static void generate(uint32_t steps) {
    static const uint8_t begin[] = {0x55, 0x48, 0x89, 0xe5, 0xb9};
    static const uint8_t end[] = {0xff, 0xc9, 0x75, 0xfc, 0x5d, 0xc3};
    memcpy(code, begin, sizeof begin);
    memcpy(code + sizeof begin, &steps, sizeof steps);
    memcpy(code + sizeof begin + sizeof steps, end, sizeof end);
}

static void append_to_map(const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
    FILE *map = fopen(path, "a");
    if (!map) {
        perror(path);
        exit(1);
    }
    fprintf(map, "%lx %x JS:*%s /src/%s.js:7:3\n", (unsigned long)code, CODE_SIZE, name, name);
    fclose(map);
}

static void put32(uint32_t value) { fwrite(&value, sizeof value, 1, dump); }
static void put64(uint64_t value) { fwrite(&value, sizeof value, 1, dump); }

static void open_dump(int flags) {
    char path[64];
    snprintf(path, sizeof path, "jit-%d.dump", getpid());
    dump = fopen(path, "w+");
    if (!dump) {
        perror(path);
        exit(1);
    }
    uint32_t words[] = {0x4a695444, 1, 40, 62, 0, (uint32_t)getpid()};
    fwrite(words, sizeof words, 1, dump);
    put64(now_ns());
    put64((uint64_t)flags);
    fflush(dump);
    /* This is how profilers hear of it. */
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(dump), 0) == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
}

static void append_to_dump(const char *name) {
    static uint64_t index;
    char file[64];
    snprintf(file, sizeof file, "/src/%s.js", name);
    uint64_t address = (uint64_t)code, time = now_ns();
    put32(2);
    put32((uint32_t)(16 + 16 + 16 + strlen(file) + 1));
    put64(time);
    put64(address);
    put64(1);
    put64(address + LINE_OFFSET);
    put32(12);
    put32(5);
    fwrite(file, strlen(file) + 1, 1, dump);

    put32(0);
    put32((uint32_t)(16 + 40 + strlen(name) + 1 + CODE_SIZE));
    put64(time);
    put32((uint32_t)getpid());
    put32((uint32_t)getpid());
    put64(address);
    put64(address);
    put64(CODE_SIZE);
    put64(index++);
    fwrite(name, strlen(name) + 1, 1, dump);
    fwrite(code, CODE_SIZE, 1, dump);
    fflush(dump);
}

static uint64_t deadline;

FRAME void called(void) {
    while (now_ns() < deadline)
        work(5);
}

FRAME void call_trampoline(void) {
    /* sub rsp, 8; call rdi; add rsp, 8; ret */
    static const uint8_t trampoline[] = {0x48, 0x83, 0xec, 0x08, 0xff, 0xd7,
                                         0x48, 0x83, 0xc4, 0x08, 0xc3};
    memcpy(code, trampoline, sizeof trampoline);
    ((void (*)(void (*)(void)))code)(called);
    NOT_A_TAIL_CALL();
}

FRAME void run_even(function f, uint64_t until) {
    while (now_ns() < until)
        f();
    NOT_A_TAIL_CALL();
}

FRAME void run_odd(function f, uint64_t until) {
    while (now_ns() < until)
        f();
    NOT_A_TAIL_CALL();
}

int main(int argc, char **argv) {
    deadline = deadline_ns(argc > 1 ? argv[1] : NULL);
    const char *publish = argc > 2 ? argv[2] : "none";
    int once = argc > 3;
    code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                -1, 0);
    if (code == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    if (strcmp(publish, "dump") == 0)
        open_dump(0);
    else if (strcmp(publish, "ticks") == 0)
        open_dump(1);
    if (strcmp(publish, "trampoline") == 0) {
        append_to_map("trampoline");
        say("ready");
        call_trampoline();
        return 0;
    }
    for (int odd = 0; now_ns() < deadline; odd = !odd && !once) {
        /* Long enough that hardly anything else is seen. */
        generate(odd ? 1000000 : 900000);
        const char *name = odd ? "odd" : "even";
        if (dump)
            append_to_dump(name);
        else if (strcmp(publish, "map") == 0)
            append_to_map(name);
        static int is_ready;
        if (!is_ready++) {
            say("ready");
            printf("code at %lx\n", (unsigned long)code);
            fflush(stdout);
        }
        uint64_t end = now_ns() + PHASE_NS;
        uint64_t until = once || end > deadline ? deadline : end;
        if (odd)
            run_odd((function)code, until);
        else
            run_even((function)code, until);
    }
    return 0;
}
