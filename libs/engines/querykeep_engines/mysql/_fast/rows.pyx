# cython: language_level=3, boundscheck=False, wraparound=False
"""Compiled twin of ``wire.masked_rows``: masks over the packets of text and binary rows."""

from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.stdlib cimport calloc, free
from libc.string cimport memmove

from querykeep_engines.kit._fast.cells cimport (
    NULL_CELL, Cell, Out, mask_cell, put, reserve, shown_bound,
)

from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.mysql.wire.rows import LENENC_SIZE, PREFIXED_SIZE, binary_size

cdef Py_ssize_t LENENC = LENENC_SIZE
cdef Py_ssize_t PREFIXED = PREFIXED_SIZE
cdef Py_ssize_t LARGE = 0xF00000
cdef Py_ssize_t EARLY = -2
cdef Py_ssize_t IS_NULL = -1
cdef Py_ssize_t MALFORMED = -3


cdef inline Py_ssize_t lenenc(const unsigned char *row, Py_ssize_t *at, Py_ssize_t end) noexcept:
    """Read a length and step behind it: IS_NULL for the NULL marker, EARLY, MALFORMED."""
    cdef Py_ssize_t width, place, value = 0
    if at[0] >= end:
        return EARLY
    width = row[at[0]]
    at[0] += 1
    if width < 0xFB:
        return width
    if width == 0xFB:
        return IS_NULL
    if width == 0xFF:
        return MALFORMED
    width = 2 if width == 0xFC else 3 if width == 0xFD else 8
    if at[0] + width > end:
        return EARLY
    for place in range(width):
        if place == 7 and row[at[0] + place] > 0x7F:
            return EARLY
        value |= <Py_ssize_t> row[at[0] + place] << (8 * place)
    at[0] += width
    return value


cdef inline Py_ssize_t put_lenenc(unsigned char *to, Py_ssize_t value) noexcept:
    """Write a length; return how many bytes it took (at most 9)."""
    cdef Py_ssize_t width, place
    if value < 0xFB:
        to[0] = value
        return 1
    if value <= 0xFFFF:
        to[0], width = 0xFC, 2
    elif value <= 0xFFFFFF:
        to[0], width = 0xFD, 3
    else:
        to[0], width = 0xFE, 8
    for place in range(width):
        to[1 + place] = (value >> (8 * place)) & 0xFF
    return 1 + width


cdef Py_ssize_t whole_rows(bytearray buffer, Py_ssize_t offset, Py_ssize_t most) except -1:
    """Return how many bytes the whole rows take that stand from ``offset`` on."""
    cdef const unsigned char *data = <const unsigned char *> PyByteArray_AS_STRING(buffer)
    cdef Py_ssize_t total = len(buffer), at = offset, length, end, rows = 0
    while rows < most and total - at >= 5:
        length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
        end = at + 4 + length
        if end > total or length == 0 or length > LARGE:
            break
        if data[at + 4] == 0xFF or (data[at + 4] == 0xFE and length < 9):
            break
        at = end
        rows += 1
    return at - offset


cdef class RowMasker:
    """As ``wire.masked_rows.PythonRowMasker``."""

    cdef Cell *cells
    cdef Py_ssize_t cell_count
    cdef Py_ssize_t width
    cdef Py_ssize_t *sizes
    cdef list masks
    cdef list affixes
    cdef Out out

    def __cinit__(self, Py_ssize_t width, cells, types=None):
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
        if types is not None:
            self.sizes = <Py_ssize_t *> calloc(max(1, width), sizeof(Py_ssize_t))
            if self.sizes == NULL:
                raise MemoryError()
            if len(types) != width:
                raise RemoteProtocolError("a result row has another width than its columns")
            for place, code in enumerate(types):
                self.sizes[place] = binary_size(code)

    def __dealloc__(self):
        free(self.cells)
        free(self.sizes)
        free(self.out.data)

    def take(self, bytearray buffer not None, Py_ssize_t offset, int shift, Py_ssize_t most):
        cdef const unsigned char *data
        cdef Py_ssize_t at = 0, length, end, head, rows = 0, payload = 0, total
        cdef int sequence = 0
        total = whole_rows(buffer, offset, most)
        # A mask's function is Python and might let the buffer be changed: rows are read from a
        # copy that is nobody else's.
        cdef bytes copied = bytes(buffer[offset : offset + total])
        data = copied
        self.out.size = 0
        while at < total:
            length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            end = at + 4 + length
            sequence = (data[at + 3] + shift) & 0xFF
            head = self.out.size
            reserve(&self.out, 4)
            self.out.size += 4
            if self.sizes == NULL:
                self.text_row(copied, data, at + 4, end)
            else:
                self.binary_row(copied, data, at + 4, end)
            length = self.out.size - head - 4
            if length >= 0xFFFFFF:
                self.out.size = head
                break
            self.out.data[head] = length & 0xFF
            self.out.data[head + 1] = (length >> 8) & 0xFF
            self.out.data[head + 2] = (length >> 16) & 0xFF
            self.out.data[head + 3] = sequence
            payload += length
            rows += 1
            at = end
        if rows == 0:
            return b"", offset, 0, 0, 0
        return (
            (<char *> self.out.data)[: self.out.size],
            offset + at,
            rows,
            payload,
            (sequence + 1) & 0xFF,
        )

    cdef int text_row(
        self, bytes copied, const unsigned char *row, Py_ssize_t at, Py_ssize_t end
    ) except -1:
        cdef Py_ssize_t start = at, begin, length, column, place = 0
        cdef Cell *cell = NULL
        for column in range(self.width):
            begin = at
            length = lenenc(row, &at, end)
            if length == MALFORMED:
                raise RemoteProtocolError("a result row has a malformed length")
            if length == EARLY or (length > 0 and length > end - at):
                raise RemoteProtocolError("a result row ends early")
            if place >= self.cell_count or self.cells[place].ordinal != column:
                if length > 0:
                    at += length
                continue
            cell = self.cells + place
            place += 1
            if length == IS_NULL:
                continue
            put(&self.out, row + start, begin - start)
            self.cell(copied, cell, place - 1, row, at, length)
            at += length
            start = at
        if at != end:
            raise RemoteProtocolError("a result row has more values than columns")
        put(&self.out, row + start, end - start)
        return 0

    cdef int cell(
        self, bytes copied, Cell *cell, Py_ssize_t place, const unsigned char *row, Py_ssize_t at,
        Py_ssize_t length
    ) except -1:
        """Write what is shown of one value. Returns 1 where that is NULL."""
        cdef Py_ssize_t shown, width
        cdef unsigned char *to
        cdef const unsigned char *masked_bytes
        if cell.operation == NULL_CELL:
            if self.sizes == NULL:
                put(&self.out, b"\xfb", 1)
            return 1
        reserve(&self.out, 9 + shown_bound(cell, length))
        to = self.out.data + self.out.size
        shown = mask_cell(cell, row + at, length, to + 9)
        if shown >= 0:
            width = put_lenenc(to, shown)
            memmove(to + width, to + 9, shown)
            self.out.size += width + shown
            return 0
        masked = self.masks[place](copied[at : at + length])
        if masked is None:
            if self.sizes == NULL:
                put(&self.out, b"\xfb", 1)
            return 1
        masked_bytes = masked
        shown = len(masked)
        reserve(&self.out, 9 + shown)
        self.out.size += put_lenenc(self.out.data + self.out.size, shown)
        put(&self.out, masked_bytes, shown)
        return 0

    cdef int value(
        self, bytes copied, Py_ssize_t place, Py_ssize_t at, Py_ssize_t length, Py_ssize_t size
    ) except -1:
        """Write what is shown of one value that has no length-encoded form. Returns 1 for NULL."""
        cdef unsigned char prefix
        cdef const unsigned char *masked_bytes
        masked = self.masks[place](copied[at : at + length])
        if masked is None:
            return 1
        masked_bytes = masked
        length = len(masked)
        if length > 255 if size == PREFIXED else length != size:
            raise RemoteProtocolError("a mask gave a value of another size than its type has")
        if size == PREFIXED:
            prefix = length
            put(&self.out, &prefix, 1)
        put(&self.out, masked_bytes, length)
        return 0

    cdef int binary_row(
        self, bytes copied, const unsigned char *row, Py_ssize_t at, Py_ssize_t end
    ) except -1:
        cdef Py_ssize_t start, nulls, head, column, place = 0, length, begin
        cdef Cell *cell = NULL
        cdef bint is_null
        nulls = (self.width + 9) // 8
        if row[at] != 0:
            raise RemoteProtocolError("a binary result row starts with another byte than 0")
        if at + 1 + nulls > end:
            raise RemoteProtocolError("a result row ends early")
        head = self.out.size
        put(&self.out, row + at, 1 + nulls)
        head += 1
        nulls = at + 1
        at += 1 + (self.width + 9) // 8
        start = at
        for column in range(self.width):
            if place < self.cell_count and self.cells[place].ordinal == column:
                cell = self.cells + place
                place += 1
            else:
                cell = NULL
            if row[nulls + (column + 2) // 8] >> ((column + 2) % 8) & 1:
                continue
            begin = at
            length = self.sizes[column]
            if length == LENENC:
                length = lenenc(row, &at, end)
                if length == IS_NULL:
                    raise RemoteProtocolError("a result row has NULL where a length belongs")
                if length == MALFORMED:
                    raise RemoteProtocolError("a result row has a malformed length")
            elif length == PREFIXED:
                length = EARLY
                if at < end:
                    length = row[at]
                    at += 1
            if length == EARLY or length > end - at:
                raise RemoteProtocolError("a result row ends early")
            if cell != NULL:
                put(&self.out, row + start, begin - start)
                if self.sizes[column] == LENENC or cell.operation == NULL_CELL:
                    is_null = self.cell(copied, cell, place - 1, row, at, length)
                else:
                    is_null = self.value(copied, place - 1, at, length, self.sizes[column])
                if is_null:
                    self.out.data[head + (column + 2) // 8] |= 1 << ((column + 2) % 8)
                start = at + length
            at += length
        if at != end:
            raise RemoteProtocolError("a result row has more values than columns")
        put(&self.out, row + start, end - start)
        return 0
