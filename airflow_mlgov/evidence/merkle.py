"""The Merkle tree hash of RFC 6962, section 2.1, computed as leaves arrive, in logarithmic memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


class MerkleRoot:
    """Takes leaves in order; :meth:`hexdigest` is the tree hash of all leaves so far.

    SHA-256; a leaf is hashed behind a zero byte, an inner node behind a one, so that neither passes for the other.
    """

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        """Of no leaves, or gone on with from some.

        :param peaks: roots of the perfect subtrees that the size's binary digits name, widest first
        """
        self.size, self._peaks = size, list(peaks)

    def copy(self) -> MerkleRoot:
        """Another that goes on from here."""
        return MerkleRoot(self.size, self._peaks)

    def add(self, leaf: bytes) -> None:
        """The next leaf."""
        node = hashlib.sha256(b"\x00" + leaf).digest()
        width = self.size
        while width & 1:
            node = hashlib.sha256(b"\x01" + self._peaks.pop() + node).digest()
            width >>= 1
        self._peaks.append(node)
        self.size += 1

    def hexdigest(self) -> str:
        """The tree hash as lower-case hex; of no leaves, the hash of the empty string."""
        if not self._peaks:
            return hashlib.sha256(b"").hexdigest()
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = hashlib.sha256(b"\x01" + peak + node).digest()
        return node.hex()
