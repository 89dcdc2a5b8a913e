# cython: language_level=3
"""Growing output and the masks' operations on ASCII values; see ``kit.cells`` for what they mean."""

from libc.stdlib cimport realloc
from libc.string cimport memcpy, memset

cdef enum:
    CALL = 0
    FULL = 1
    EMAIL = 2
    KEEP_LAST = 3
    KEEP_FIRST = 4
    NAME = 5
    RRN = 6
    NULL_CELL = 7

cdef struct Out:
    unsigned char *data
    Py_ssize_t size
    Py_ssize_t room

cdef struct Cell:
    Py_ssize_t ordinal
    int operation
    Py_ssize_t count
    const unsigned char *affix
    Py_ssize_t affix_size


cdef inline int reserve(Out *out, Py_ssize_t more) except -1:
    """Make room for ``more`` bytes behind what is there."""
    cdef Py_ssize_t wanted = out.size + more
    cdef unsigned char *grown
    if wanted > out.room:
        wanted += wanted // 2 + 4096
        grown = <unsigned char *> realloc(out.data, wanted)
        if grown == NULL:
            raise MemoryError()
        out.data = grown
        out.room = wanted
    return 0


cdef inline int put(Out *out, const unsigned char *data, Py_ssize_t size) except -1:
    reserve(out, size)
    memcpy(out.data + out.size, data, size)
    out.size += size
    return 0


cdef inline bint is_ascii(const unsigned char *value, Py_ssize_t size) noexcept:
    cdef Py_ssize_t at
    cdef unsigned char seen = 0
    for at in range(size):
        seen |= value[at]
    return seen < 128


cdef inline bint is_alnum(unsigned char char) noexcept:
    return 48 <= char <= 57 or 65 <= char <= 90 or 97 <= char <= 122


cdef inline bint is_space(unsigned char char) noexcept:
    """White space as ``str.strip`` has it, in ASCII."""
    return 9 <= char <= 13 or 28 <= char <= 32


cdef inline Py_ssize_t shown_bound(Cell *cell, Py_ssize_t size) noexcept:
    """Return more than an operation writes at most."""
    return size + cell.affix_size + cell.count + 32


cdef inline Py_ssize_t mask_cell(
    Cell *cell, const unsigned char *value, Py_ssize_t size, unsigned char *to
) noexcept:
    """Write what is shown of an ASCII value; return its length, or -1 where the function must."""
    cdef Py_ssize_t at, found, first, last, count = cell.count
    if cell.operation == CALL or not is_ascii(value, size):
        return -1
    if cell.operation == FULL:
        memcpy(to, cell.affix, cell.affix_size)
        return cell.affix_size
    if cell.operation == EMAIL:
        at = size - 1
        while at >= 0 and value[at] != 64:
            at -= 1
        if at <= 0 or at == size - 1:
            memcpy(to, cell.affix, cell.affix_size)
            return cell.affix_size
        to[0] = value[0]
        memset(to + 1, 42, 5)
        memcpy(to + 6, value + at, size - at)
        return 6 + size - at
    if cell.operation == KEEP_LAST:
        memcpy(to, cell.affix, cell.affix_size)
        to += cell.affix_size
        found = 0
        for at in range(size):
            found += is_alnum(value[at])
        if found < 2 * count:
            memset(to, 42, count)
        else:
            at, found = size - 1, count
            while found:
                if is_alnum(value[at]):
                    found -= 1
                    to[found] = value[at]
                at -= 1
        return cell.affix_size + count
    if cell.operation == KEEP_FIRST:
        if size < 2 * count:
            memset(to, 42, count)
        else:
            memcpy(to, value, count)
        memcpy(to + count, cell.affix, cell.affix_size)
        return count + cell.affix_size
    if cell.operation == NAME:
        first, last = 0, size
        while first < last and is_space(value[first]):
            first += 1
        while last > first and is_space(value[last - 1]):
            last -= 1
        memset(to, 42, 3)
        if last - first > 1:
            to[0] = value[first]
        return 3
    if cell.operation == RRN:
        memset(to, 42, 14)
        to[6] = 45
        found = 0
        for at in range(size):
            if 48 <= value[at] <= 57:
                found += 1
        if found == 13:
            found = 0
            at = 0
            while found < 6:
                if 48 <= value[at] <= 57:
                    to[found] = value[at]
                    found += 1
                at += 1
        return 14
    return -1
