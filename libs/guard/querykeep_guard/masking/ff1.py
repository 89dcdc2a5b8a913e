"""FF1: a keyed permutation of all strings of one length over an alphabet.

Source: NIST SP 800-38G, algorithm 7 (FF1.Encrypt); its samples are the test.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 16
_ROUNDS = 10
_DOMAIN = 1_000_000
"""The standard's least number of strings of a length: fewer could be tried through."""


class Ff1:
    """Encrypts strings of digits (integers below ``radix``) into strings of the same length."""

    def __init__(self, key: bytes, radix: int, tweak: bytes = b"") -> None:
        """``key``: 16, 24 or 32 bytes; ``radix``: 2 to 65,536."""
        self._encrypt_blocks = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update  # noqa: S305 - FF1 is built on single blocks
        self._radix = radix
        self._tweak = tweak
        self.least = 2
        while radix**self.least < _DOMAIN:
            self.least += 1

    def encrypt(self, digits: list[int]) -> list[int]:
        """Return the digits' image.

        Raises:
            ValueError: There are fewer than ``least`` digits.
        """
        count = len(digits)
        if count < self.least:
            raise ValueError("too few digits for FF1")
        radix, tweak = self._radix, self._tweak
        left, right = count // 2, count - count // 2
        size = ((radix**right - 1).bit_length() + 7) // 8
        wanted = 4 * ((size + 3) // 4) + 4
        head = self._encrypt_blocks(
            b"\x01\x02\x01"
            + radix.to_bytes(3, "big")
            + bytes((_ROUNDS, left & 0xFF))
            + count.to_bytes(4, "big")
            + len(tweak).to_bytes(4, "big")
        )
        padding = bytes(-(len(tweak) + size + 1) % _BLOCK)
        a, b = self._number(digits[:left]), self._number(digits[left:])
        for turn in range(_ROUNDS):
            tail = tweak + padding + bytes((turn,)) + b.to_bytes(size, "big")
            stream = self._stream(self._mac(head, tail), wanted)
            length = left if turn % 2 == 0 else right
            a, b = b, (a + int.from_bytes(stream, "big")) % radix**length
        return self._digits(a, left) + self._digits(b, right)

    def _mac(self, state: bytes, data: bytes) -> bytes:
        for at in range(0, len(data), _BLOCK):
            state = self._encrypt_blocks(_xor(state, data[at : at + _BLOCK]))
        return state

    def _stream(self, block: bytes, wanted: int) -> bytes:
        parts = [block]
        for number in range(1, (wanted + _BLOCK - 1) // _BLOCK):
            parts.append(self._encrypt_blocks(_xor(block, number.to_bytes(_BLOCK, "big"))))
        return b"".join(parts)[:wanted]

    def _number(self, digits: list[int]) -> int:
        number = 0
        for digit in digits:
            number = number * self._radix + digit
        return number

    def _digits(self, number: int, count: int) -> list[int]:
        digits = [0] * count
        for at in range(count - 1, -1, -1):
            number, digits[at] = divmod(number, self._radix)
        return digits


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(_BLOCK, "big")
