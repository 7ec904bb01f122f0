/* Runs a program that may not make some system calls, as in a container with a
 * seccomp profile: they fail with EPERM.
 *
 * sealed NUMBER[,NUMBER...] PROGRAM [ARGUMENT...] */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MAX_NUMBERS 16

int main(int argc, char **argv) {
    struct sock_filter code[2 * MAX_NUMBERS + 2];
    unsigned short length = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: sealed NUMBER[,NUMBER...] PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                  offsetof(struct seccomp_data, nr));
    char *at = argv[1];
    for (int i = 0; i < MAX_NUMBERS && *at; i++) {
        unsigned number = strtoul(at, &at, 10);
        at += *at == ',';
        code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
        code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {length, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("sealed");
        return 1;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 1;
}
