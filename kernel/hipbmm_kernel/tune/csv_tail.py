"""The CSV that one child's AITER appends to, read by the parent: each complete line once, strictly."""

import os

from hipbmm_kernel.contract.settings import SERVED_NAME
from hipbmm_kernel.rows import aiter_csv
from hipbmm_kernel.rows.gemm import Row


class CsvTail:
    """Follows the CSV of one working directory; `rejected` says why lines of the last reading are no rows."""

    def __init__(self, directory: str) -> None:
        self._path = f"{directory}/{SERVED_NAME}"
        self._offset = 0
        self._rows: dict[str, Row] = {}
        self.rejected: list[str] = []

    def row(self, key: str) -> Row | None:
        """The row of `key`, after reading what was appended; None when AITER wrote none that may be used."""
        self.rejected = []
        self._read()
        return self._rows.get(key)

    def _read(self) -> None:
        try:
            with open(self._path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(self._offset)
                data = file.read(max(0, min(size - self._offset, aiter_csv.MAX_BYTES)))
        except OSError:
            return
        end = data.rfind(b"\n") + 1
        self._offset += end
        parsed = aiter_csv.parse(data[:end])
        for row in parsed.accepted:
            self._rows.setdefault(row.key, row)
        self.rejected += [finding.reason for finding in parsed.rejected]
        if parsed.refused:
            self.rejected.append(parsed.refused)
