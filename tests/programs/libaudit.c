/* Is told of each call that leads into a library, and stands between the caller and it. */
#include <link.h>

unsigned int la_version(unsigned int version) { return version; }

unsigned int la_objopen(struct link_map *map, Lmid_t space, uintptr_t *cookie) {
    (void)map, (void)space, (void)cookie;
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

ElfW(Addr) la_x86_64_gnu_pltenter(ElfW(Sym) *symbol, unsigned int index, uintptr_t *from,
                                  uintptr_t *to, La_x86_64_regs *registers, unsigned int *flags,
                                  const char *name, long *frame_size) {
    (void)index, (void)from, (void)to, (void)registers, (void)flags, (void)name;
    /* Not zero: so what comes after the call is told as well, on a copied frame. */
    *frame_size = 64;
    return symbol->st_value;
}

unsigned int la_x86_64_gnu_pltexit(ElfW(Sym) *symbol, unsigned int index, uintptr_t *from,
                                   uintptr_t *to, const La_x86_64_regs *before,
                                   La_x86_64_retval *after, const char *name) {
    (void)symbol, (void)index, (void)from, (void)to, (void)before, (void)after, (void)name;
    return 0;
}
