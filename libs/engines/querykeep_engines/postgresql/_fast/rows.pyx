# cython: language_level=3, boundscheck=False, wraparound=False
"""Compiled twin of ``wire.rows``: scanning runs of messages, masks over DataRow bytes."""

from libc.stdlib cimport calloc, free

from querykeep_engines.kit._fast.cells cimport (
    NULL_CELL, Cell, Out, mask_cell, put, reserve, shown_bound,
)

from querykeep_engines.kit.session import RemoteProtocolError


cdef inline Py_ssize_t number(const unsigned char *at) noexcept:
    """Return a signed big-endian int32."""
    return <int> (
        (<unsigned int> at[0] << 24) | (<unsigned int> at[1] << 16)
        | (<unsigned int> at[2] << 8) | at[3]
    )


cdef inline void write_number(unsigned char *to, Py_ssize_t value) noexcept:
    to[0] = (value >> 24) & 0xFF
    to[1] = (value >> 16) & 0xFF
    to[2] = (value >> 8) & 0xFF
    to[3] = value & 0xFF


def scan_run(bytes data, Py_ssize_t start, int kind, Py_ssize_t limit):
    """As ``wire.rows.scan_run``."""
    cdef const unsigned char *bytes_ = data
    cdef Py_ssize_t size = len(data), pos = start, end, length, count = 0
    while pos <= size - 5 and bytes_[pos] == kind:
        length = number(bytes_ + pos + 1)
        if length < 4 or length > limit:
            raise RemoteProtocolError(f"invalid length {length} of a row")
        end = pos + 1 + length
        if end > size:
            return count, pos, end
        pos = end
        count += 1
    return count, pos, 0


cdef class RowMasker:
    """As ``wire.rows.RowMasker``."""

    cdef Cell *cells
    cdef Py_ssize_t cell_count
    cdef int width
    cdef list masks
    cdef list affixes
    cdef Out out

    def __cinit__(self, int width, cells):
        cdef const unsigned char *affix
        self.width = width
        self.masks = []
        self.affixes = []
        self.cell_count = len(cells)
        self.cells = <Cell *> calloc(max(1, len(cells)), sizeof(Cell))
        if self.cells == NULL:
            raise MemoryError()
        for place, cell in enumerate(sorted(cells, key=lambda one: one.ordinal)):
            if not (self.cells[place - 1].ordinal if place else -1) < cell.ordinal < width:
                raise ValueError("two masks for one column, or one outside of the result")
            kept = bytes(cell.affix)
            affix = kept
            self.affixes.append(kept)
            self.masks.append(cell.mask)
            self.cells[place].ordinal = cell.ordinal
            self.cells[place].operation = cell.operation
            self.cells[place].count = cell.count
            self.cells[place].affix = affix
            self.cells[place].affix_size = len(kept)

    def __dealloc__(self):
        free(self.cells)
        free(self.out.data)

    def __call__(self, bytes data not None):
        cdef const unsigned char *row = data
        cdef Py_ssize_t size = len(data), pos = 0, end, at, start, head, length, column, shown
        cdef Py_ssize_t place
        cdef Cell *cell
        cdef const unsigned char *other
        self.out.size = 0
        while pos < size:
            if pos + 7 > size:
                raise ValueError("a row could not be read")
            if row[pos] != 68:
                raise ValueError("a message among rows is no row")
            end = pos + 1 + number(row + pos + 1)
            if end > size or end < pos + 7 or (row[pos + 5] << 8 | row[pos + 6]) != self.width:
                raise ValueError("a row has another width than its description")
            head = self.out.size
            start = pos
            at = pos + 7
            column = 0
            for place in range(self.cell_count):
                cell = self.cells + place
                while column < cell.ordinal:
                    if at + 4 > end:
                        raise ValueError("a row ends before its last column")
                    length = number(row + at)
                    at += 4 if length < 0 else 4 + length
                    column += 1
                if at + 4 > end:
                    raise ValueError("a row ends before its last column")
                length = number(row + at)
                column += 1
                if length < 0:
                    at += 4
                    continue
                if at + 4 + length > end:
                    raise ValueError("a row ends before its last column")
                put(&self.out, row + start, at - start)
                at += 4
                if cell.operation == NULL_CELL:
                    reserve(&self.out, 4)
                    write_number(self.out.data + self.out.size, -1)
                    self.out.size += 4
                else:
                    reserve(&self.out, 4 + shown_bound(cell, length))
                    shown = mask_cell(cell, row + at, length, self.out.data + self.out.size + 4)
                    if shown >= 0:
                        write_number(self.out.data + self.out.size, shown)
                        self.out.size += 4 + shown
                    else:
                        self.call(place, data[at : at + length])
                at += length
                start = at
            if at > end:
                raise ValueError("a row ends before its last column")
            put(&self.out, row + start, end - start)
            write_number(self.out.data + head + 1, self.out.size - head - 1)
            pos = end
        return (<char *> self.out.data)[: self.out.size] if self.out.size else b""

    cdef int call(self, Py_ssize_t place, bytes value) except -1:
        """Write what the mask's function gives."""
        cdef unsigned char length[4]
        cdef const unsigned char *shown
        masked = self.masks[place](value)
        if masked is None:
            write_number(length, -1)
            put(&self.out, length, 4)
            return 0
        shown = masked
        write_number(length, len(masked))
        put(&self.out, length, 4)
        put(&self.out, shown, len(masked))
        return 0
