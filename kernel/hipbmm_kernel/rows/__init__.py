"""Problems, rows and AITER's CSV as values. Pure.

In: bytes of a file, or rows made here. Out: rows that AITER reads as they are meant, and for everything else a reason
in words that name the cause.

`gemm` has the values and what makes a key, an index or a name one; `aiter_csv` reads strictly and writes exactly what
AITER's own writer would; `torn_lines` says where a line that several rows share falls apart; `line_diagnosis` says what
is wrong with a line or a whole file.
Never: an exception because of content, a row that AITER would understand in another way than it was meant, a clock, a
file or a random number. Any room above may import it; it imports `system.shown` alone.
"""
