/* Allocates by another name than malloc, and a little by that. */
#include "program.h"

void *mi_malloc(size_t size);

int main(void) {
    for (int i = 0; i < 1000; i++)
        if (mi_malloc(100) == NULL) return 1;
    char *volatile object = malloc(100);
    free(object);
    return 0;
}
