"""AMD Instinct products and their partition geometry, from ROCm's GPU specifications and amdgpu's XCP code."""

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Product:
    """One whole GPU: ``vram_gib`` is the marketed HBM size, ``target`` KFD's gfx_target_version."""

    name: str
    device_id: int
    virtual_id: int
    target: int
    xcds: int
    cu_per_xcd: int
    vram_gib: int
    board: str

    @property
    def cu(self) -> int:
        """Compute units of the whole GPU."""
        return self.xcds * self.cu_per_xcd


_GFX942, GFX950 = 90402, 90500

PRODUCTS: dict[str, Product] = {
    product.name: product
    for product in (
        Product("MI300A", 0x74A0, 0x74B4, _GFX942, 6, 38, 128, "AMD Instinct MI300A"),
        Product("MI300X", 0x74A1, 0x74B5, _GFX942, 8, 38, 192, "AMD Instinct MI300X OAM"),
        Product("MI308X", 0x74A2, 0x74B6, _GFX942, 4, 20, 192, "AMD Instinct MI308X"),
        Product("MI325X", 0x74A5, 0x74B9, _GFX942, 8, 38, 256, "AMD Instinct MI325 OAM"),
        Product("MI350P", 0x75A8, 0x75B8, GFX950, 4, 32, 144, "AMD Instinct MI350P"),
        Product("MI350X", 0x75A0, 0x75B0, GFX950, 8, 32, 288, "AMD Instinct MI350 OAM"),
        Product("MI355X", 0x75A3, 0x75B3, GFX950, 8, 32, 288, "AMD Instinct MI355 OAM"),
    )
}

# How many logical devices each compute partition mode makes of one GPU; CPX is one per XCD.
_MODES = {"SPX": 1, "DPX": 2, "TPX": 3, "QPX": 4}


def logical_devices(product: Product, partition: str) -> int:
    """Logical devices that one GPU of this product becomes; ValueError when the mode does not divide its XCDs."""
    count = product.xcds if partition == "CPX" else _MODES.get(partition, 0)
    if count == 0 or product.xcds % count:
        raise ValueError(f"{product.name} has no compute partition mode {partition!r}")
    return count


def vram_bytes(product: Product, partition: str) -> int:
    """KFD's size_in_bytes of one logical device.

    The driver keeps 16 MiB of the whole GPU, the rest is shared evenly.
    """
    whole = product.vram_gib * GIB - 16 * (1 << 20)
    return whole // logical_devices(product, partition)
