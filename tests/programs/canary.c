/* Says a word in every place that a recording looks at.
 *
 *     main > shout > spin
 *          > in_library (of libCaNaRyLib.so) > spin
 *          > code in a memory file, and in anonymous memory
 *     start_thread > second_thread > spin
 *
 * Run in a folder with CaNaRyFile.txt, libCaNaRyLib.so (this file with -DLIB)
 * and CaNaRyChild, which is a shell. All that is called so by somebody who
 * uses a computer has CaNaRy in its name; functions have not. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

FRAME void spin(int milliseconds) {
    for (uint64_t until = now_ns() + (uint64_t)milliseconds * 1000000; now_ns() < until;)
        work(10);
}

#ifdef LIB
FRAME void in_library(void) { spin(200); }
#else

static void ignore(long result) { (void)result; }

FRAME void touch_files(void) {
    char all[4096], byte;
    int file = open("CaNaRyFile.txt", O_RDONLY);
    ignore(read(file, &byte, 1));
    ignore(write(file, "CaNaRySecret", 12));
    ignore(open(realpath("CaNaRyFile.txt", all), O_RDONLY));
    ignore(mkdir("/tmp/CaNaRyFolder", 0700));
    ignore(rmdir("/tmp/CaNaRyFolder"));
    ignore(open("/etc/CaNaRy.conf", O_RDONLY));
    ignore(rename("CaNaRyOld", "CaNaRyNew"));
}

static void reach_unix(const char *name, size_t before) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path + before, name);
    int file = socket(AF_UNIX, SOCK_STREAM, 0);
    ignore(connect(file, (struct sockaddr *)&address, sizeof address));
}

FRAME void touch_sockets(void) {
    reach_unix("/tmp/CaNaRySocket", 0);
    reach_unix("CaNaRyAbstract", 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(4711)};
    inet_pton(AF_INET, "203.0.113.77", &address.sin_addr);
    int file = socket(AF_INET, SOCK_DGRAM, 0);
    ignore(connect(file, (struct sockaddr *)&address, sizeof address));
}

/* Code that counts down from what it is given. */
static const unsigned char countdown[] = {0x48, 0xff, 0xcf, 0x75, 0xfb, 0xc3};

FRAME void run_generated(int file, int publishes) {
    int flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, flags, file, 0);
    if (code == MAP_FAILED)
        exit(9);
    memcpy(code, countdown, sizeof countdown);
    if (publishes) {
        char path[99];
        snprintf(path, sizeof path, "/tmp/perf-%d.map", (int)getpid());
        FILE *map = fopen(path, "w");
        fprintf(map, "%lx %zx JS:*add %s/CaNaRyScript.js:3:4\n", (long)code, sizeof countdown,
                getenv("HOME"));
        fclose(map);
    }
    ((void (*)(long))code)(400000000);
}

static void *second_thread(void *unused) {
    prctl(PR_SET_NAME, "CaNaRyThread-1");
    spin(200);
    prctl(PR_SET_NAME, "CaNaRyRenamed");
    spin(100);
    return unused;
}

FRAME void shout(void) { spin(200); }

int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, second_thread, NULL);
    shout();
    void *library = dlopen("./libCaNaRyLib.so", RTLD_NOW);
    void (*in_library)(void) = (void (*)(void))dlsym(library, "in_library");
    in_library();
    touch_files();
    touch_sockets();
    int file = memfd_create("CaNaRyMemory", 0);
    ignore(ftruncate(file, 4096));
    run_generated(file, 0);
    run_generated(-1, 1);
    pid_t child = fork();
    if (child == 0)
        execl("./CaNaRyChild", "CaNaRyName", "-c", "sleep 0.4; :", "CaNaRyArgument", NULL);
    waitpid(child, NULL, 0);
    pthread_join(thread, NULL);
    return 0;
}
#endif
