"""Facts about MI3xx hardware: products by device id, partitions, and the names that people and clouds give them."""
