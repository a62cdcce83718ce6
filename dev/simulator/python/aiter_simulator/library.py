"""A simulated hipBLASLt.

Which solution indices exist in this build, which problem each solves, how fast, and what it is called.

Each build (architecture, CU count and the content of its TensileLibrary file) has its own numbering with holes, so
that an index of another build is absent (two in three), solves another problem (one in four), or is right by chance:
as with the real library.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from aiter_simulator import cost, faults, gpu, settings, stable
from aiter_simulator.problem import Gemm

SOLUTIONS = 3072  # a real gfx942 library has thousands
_FIRST_INDEX = 2000
_STRIDE = 3  # one index in three exists
HEURISTIC_CANDIDATES = 32
_LUCKY = 0.1  # how often the heuristic's first choice is the best of its 32
_SWIZZLED_SHARE = 0.25  # of all solutions
_TILES = (16, 32, 64, 96, 128, 160, 192, 224, 256)
_DEPTHS = (32, 64, 128, 256)
_KINDS = ("F8N_swizzled", "F8N_plain", "BBS", "HHS")


@dataclass(frozen=True, slots=True)
class Solution:
    """One kernel: macro tile, unroll depth, the kind of problem it was built for.

    And whether K must be a multiple of the depth.
    """

    index: int
    kind: str
    tile_n: int
    tile_m: int
    depth: int
    whole_depth: bool

    def solves(self, gemm: Gemm) -> bool:
        """Whether the result is right: the same kind of problem, and no K remainder where the kernel has none."""
        return self.kind == kind_of(gemm) and not (self.whole_depth and gemm.K % self.depth)


def kind_of(gemm: Gemm) -> str:
    """The kind of solution that a problem needs; empty for one that no solution of this library was built for."""
    if gemm.trans_b != "N":
        return ""
    if gemm.in_type.startswith("float8"):
        if not gemm.preshuffle:
            return "F8N_plain"
        return "F8N_swizzled" if gemm.scaled and gemm.trans_a == "T" else ""
    if gemm.preshuffle:
        return ""
    return {"bfloat16": "BBS", "float16": "HHS"}.get(gemm.in_type, "")


class Library:
    """The solutions of one build on one device."""

    def __init__(self, build: str, device: gpu.SimulatedGpu) -> None:
        self.build = build
        self.device = device
        self._candidates: dict[Gemm, list[Solution]] = {}
        by_kind: dict[str, list[Solution]] = {kind: [] for kind in _KINDS}
        self._by_index: dict[int, Solution] = {}
        for number in range(SOLUTIONS):
            solution = self._make(number)
            self._by_index[solution.index] = solution
            by_kind[solution.kind].append(solution)
        self._by_kind = {kind: tuple(solutions) for kind, solutions in by_kind.items()}

    def get(self, index: int) -> Solution | None:
        """The solution with this index, or None for an index this build does not have.

        Index 0 is a real solution and of no use here; whether each build takes it is not known, so a fault refuses it.
        """
        if index == 0 and faults.find("no-index-0"):
            return None
        return self._by_index.get(index)

    def supported(self, gemm: Gemm) -> list[Solution]:
        """All solutions whose predicates accept the problem."""
        if gemm.preshuffle and self.device.arch == "gfx950":
            return []  # no gfx950 build has a swizzled FP8 solution (rocm-libraries #11950)
        if faults.find("no-solution", M=gemm.M, N=gemm.N, K=gemm.K):
            return []
        return [solution for solution in self._by_kind.get(kind_of(gemm), ()) if solution.solves(gemm)]

    def candidates(self, gemm: Gemm, requested: int) -> list[Solution]:
        """hipblasLtMatmulAlgoGetHeuristic: the best predicted first, which is seldom the best measured."""
        if gemm not in self._candidates:
            self._candidates[gemm] = self._rank(gemm)
        return self._candidates[gemm][:requested]

    def _rank(self, gemm: Gemm) -> list[Solution]:
        def draw(purpose: str, item: Solution) -> int:
            return stable.integer(purpose, item.index, gemm.M, gemm.N, gemm.K)

        chosen = sorted(self.supported(gemm), key=lambda item: draw("heuristic", item))[:HEURISTIC_CANDIDATES]
        if not chosen:
            return []
        factors = {solution.index: self.factor(solution, gemm) for solution in chosen}
        chance = stable.fraction("first", self.build, gemm.M, gemm.N, gemm.K)
        # Where the first choice is not the best, it is 5 to 15 % slower.
        aim = min(factors.values()) * (1.0 if chance < _LUCKY else 1.05 + (chance - _LUCKY) / 9)
        first = min(chosen, key=lambda item: abs(factors[item.index] - aim))
        rest = sorted((item for item in chosen if item is not first), key=lambda item: draw("order", item))
        return [first, *rest]

    def all_algorithms(self, gemm: Gemm) -> list[int]:
        """hipb_findallsols.

        It asks without the swizzle order, so some answers are kernels that read a swizzled weight wrongly.
        """
        found = [solution.index for solution in self.supported(gemm)]
        if gemm.preshuffle and found:
            plain = self._by_kind["F8N_plain"]
            found += [item.index for item in plain if stable.integer("leak", item.index) % 37 == 0]
        return sorted(found)

    def factor(self, solution: Solution, gemm: Gemm) -> float:
        """How many times slower than an ideal kernel this solution is for this problem, >= 1."""
        share = stable.fraction("speed", self.build, solution.index, gemm.M, gemm.N, gemm.K)
        return 1.0 + 0.6 * math.pow(share, 0.8)

    def time_us(self, solution: Solution, gemm: Gemm) -> float:
        """Microseconds of one launch."""
        return cost.ideal_us(gemm, self.device) * self.factor(solution, gemm)

    def kernel_name(self, solution: Solution) -> str:
        """A Tensile name of 500 to 600 characters without a comma."""
        return _kernel_name(solution, self.build)

    def _make(self, number: int) -> Solution:
        seed = (self.build, self.device.arch, self.device.cu, number)
        index = 0 if number == 0 else _FIRST_INDEX + _STRIDE * number + stable.integer("index", *seed) % _STRIDE
        return Solution(
            index=index,
            kind=_draw_kind(number, seed),
            tile_n=_TILES[stable.integer("n", *seed) % len(_TILES)],
            tile_m=_TILES[stable.integer("m", *seed) % len(_TILES)],
            depth=_DEPTHS[stable.integer("k", *seed) % len(_DEPTHS)],
            whole_depth=stable.integer("tail", *seed) % 3 == 0,
        )


def _draw_kind(number: int, seed: tuple[object, ...]) -> str:
    if number == 0:  # index 0 is a real solution, and one for another kind of problem
        return "HHS"
    if stable.fraction("kind", *seed) < _SWIZZLED_SHARE:
        return _KINDS[0]
    return _KINDS[1 + stable.integer("other", *seed) % (len(_KINDS) - 1)]


_FIELDS = (
    "AF1_AFEM1_AFEM1_ASEM1_CLR{clr}_CADS0_DTLA{dtla}_DTLB0_DTVA1_DTVB0_"
    "EPS0_FDSI0_GRPM{grpm}_GRVWA{grvwa}_GRVWB16_GSUAMB_GLS0_"
    "ISA942_IU1_K1_LDSTI0_LBSPPA256_LBSPPB256_LBSPPM0_LPA16_LPB16_LPM0_LRVW16_"
    "LWPMn1_MIAV{miav}_MIWT{miwt}_MO40_NTn1_NTA0_NTB0_NTC0_NTD4_NTM0_NEPBS2_NLCA1_NLCB1_ONLL1_PGR{pgr}_PLR1_PKA1_SIA3_"
    "SS1_SPO0_SRVW0_SSO0_SVW{svw}_SK0_SKXCCM0_TLDS1_ULSGRO0_USL1_UIOFGRO0_UPLRP0_USFGROn1_VSn1_VWA{vwa}_VWB1_"
    "WSGRA0_WSGRB0_WS64_WG{wg}_WGM{wgm}_WGMXCC{wgmxcc}_WGMXCCGn1_WGRn1_PF{build}"
)
"""Fields of a Tensile kernel name behind the tile, in its order; those in braces differ between solutions."""


def _kernel_name(solution: Solution, build: str) -> str:
    types = {"F8N_swizzled": "F8NBS", "F8N_plain": "F8NBS", "BBS": "BBS", "HHS": "HHS"}[solution.kind]
    swizzle = "_STA" if solution.kind == "F8N_swizzled" else ""
    seed = stable.integer("name", build, solution.index)
    fields = _FIELDS.format(
        clr=seed % 2,
        dtla=seed >> 1 & 1,
        grpm=1 << (seed >> 2 & 3),
        grvwa=16 >> (seed >> 4 & 1),
        miav=seed >> 5 & 1,
        miwt=f"{1 + (seed >> 6) % 8}_{1 + (seed >> 9) % 8}",
        pgr=1 + (seed >> 12 & 1),
        svw=1 << (seed >> 13 & 3),
        vwa=1 << (seed >> 15 & 1),
        wg=f"{16 << (seed >> 16 & 1)}_{4 << (seed >> 17 & 1)}_{1 + (seed >> 18 & 1)}",
        wgm=1 + (seed >> 19) % 32,
        wgmxcc=8 >> (seed >> 24 & 3),
        build=hashlib.sha256(build.encode()).hexdigest()[:16],
    )
    tail = "SN" if solution.whole_depth else "SB"
    head = f"Cijk_Alik_Bljk_{types}_BH_Bias_HA_S_SABV_SAV_UserArgs{swizzle}"
    return f"{head}_MT{solution.tile_n}x{solution.tile_m}x{solution.depth}_MI16x16x1_{tail}_LDSB1_{fields}"


def build_identity(arch: str) -> str:
    """What makes a build its own: the content of its solution database, as installed, else its version alone."""
    version = settings.text("HIPBLASLT", "1.2.2")
    root = Path(settings.text("ROCM", "/opt/rocm"))
    database = root / f"lib/hipblaslt/library/TensileLibrary_lazy_{arch}.dat"
    try:
        return hashlib.sha256(database.read_bytes()).hexdigest()
    except OSError:
        return f"hipblaslt-{version}"


@lru_cache(maxsize=8)
def load(device: gpu.SimulatedGpu) -> Library:
    """The library of this process for a device."""
    return Library(build_identity(device.arch), device)


def version_number() -> int:
    """hipblasLtGetVersion: major * 100000 + minor * 100 + patch."""
    major, minor, patch = (int(part) for part in settings.text("HIPBLASLT", "1.2.2").split("."))
    return major * 100_000 + minor * 100 + patch
