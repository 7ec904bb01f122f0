/* Counts what may be left of a recording: bpf programs, maps and links of the
 * kernel, and, of each process, bytes of code that are not as in its files.
 *
 *   left [PID...] */
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned ids(int command) {
    union bpf_attr attributes;
    unsigned count = 0, id = 0;
    for (;; count++) {
        memset(&attributes, 0, sizeof attributes);
        attributes.start_id = id;
        if (syscall(SYS_bpf, command, &attributes, sizeof attributes) != 0)
            return count;
        id = attributes.next_id;
    }
}

static unsigned differing(int memory, int file, uint64_t start, uint64_t end, uint64_t offset) {
    static char loaded[4096], stored[4096];
    unsigned count = 0;
    for (uint64_t at = start; at < end; at += sizeof loaded) {
        off_t in_file = (off_t)(offset + (at - start));
        /* The last page of a file is not whole. */
        ssize_t length = pread(file, stored, sizeof stored, in_file);
        if (length <= 0 || pread(memory, loaded, (size_t)length, (off_t)at) != length)
            break;
        for (ssize_t i = 0; i < length; i++)
            count += loaded[i] != stored[i];
    }
    return count;
}

static void patched(const char *pid) {
    char path[64], line[4096], file_path[4096], rights[8];
    snprintf(path, sizeof path, "/proc/%s/mem", pid);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%s/maps", pid);
    FILE *maps = fopen(path, "r");
    if (memory < 0 || maps == NULL) {
        perror(path);
        exit(1);
    }
    unsigned count = 0, compared = 0;
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long start, end, offset;
        int fields = sscanf(line, "%lx-%lx %7s %lx %*s %*s %4095s", &start, &end, rights, &offset,
                            file_path);
        if (fields != 5 || rights[2] != 'x' || file_path[0] != '/')
            continue;
        int file = open(file_path, O_RDONLY | O_CLOEXEC);
        if (file < 0) {
            perror(file_path);
            exit(1);
        }
        count += differing(memory, file, start, end, offset);
        compared++;
        close(file);
    }
    fclose(maps);
    close(memory);
    if (compared == 0) {
        fprintf(stderr, "left: %s has no code\n", pid);
        exit(1);
    }
    printf("changed code %u\n", count);
}

int main(int argc, char **argv) {
    printf("programs %u\n", ids(BPF_PROG_GET_NEXT_ID));
    printf("maps %u\n", ids(BPF_MAP_GET_NEXT_ID));
    printf("links %u\n", ids(BPF_LINK_GET_NEXT_ID));
    for (int i = 1; i < argc; i++)
        patched(argv[i]);
    return 0;
}
