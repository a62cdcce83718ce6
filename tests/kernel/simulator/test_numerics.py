"""The stand-in multiplies exactly, for what it is given and for nothing else."""

import pytest
from tests.kernel.simulator.programs import Run

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]


def check(run: Run, program: str, **env: str) -> None:
    done = run(program, **env)
    assert done.code == 0, done.stderr


def test_a_swizzled_weight_is_right_and_a_plain_one_is_not(run: Run) -> None:
    check(
        run,
        """
        for M in (1, 2, 17, 512, 700):
            x, xs, w, ws = operands(M)
            assert right(mm(x, xs, w, ws), x, xs, w, ws), M
            assert right(mm(x, xs, w, ws, swizzled=False), x, xs, w, ws), M
            options = dict(out_dtype=torch.bfloat16, bpreshuffle=True)
            plain = aiter.hipb_mm(x, w.t(), -1, scaleA=xs, scaleB=ws.t().contiguous(), **options)
            assert not right(plain, x, xs, w, ws), M
        """,
    )


def test_results_follow_their_operands_however_these_change(run: Run) -> None:
    check(
        run,
        """
        x, xs, w, ws = operands(64, rows=512)
        shuffled = shuffle_weight(w)
        options = dict(out_dtype=torch.bfloat16, bpreshuffle=True)
        def now():
            return aiter.hipb_mm(x, shuffled.t(), -1, scaleA=xs, scaleB=ws.t().contiguous(), **options)
        first = now()
        assert right(first, x, xs, w, ws)
        assert torch.equal(now(), first) and now().data_ptr() != first.data_ptr()
        other, others, *_ = operands(65)
        x.copy_(other[:64]); xs.copy_(others[:64])
        assert right(now(), x, xs, w, ws) and not torch.equal(now(), first)
        shuffled.data.copy_(shuffle_weight(operands(66)[2]))
        assert right(now(), x, xs, operands(66)[2], ws)
        xs.mul_(2)
        assert right(now(), x, xs, operands(66)[2], ws)
        now().zero_()
        assert right(now(), x, xs, operands(66)[2], ws)
        """,
    )


def test_operands_that_reuse_an_address_are_not_mistaken_for_their_predecessors(run: Run) -> None:
    check(
        run,
        """
        for M in range(40):
            given = operands(8 + M % 3, 128, 256)
            assert right(mm(*given), *given), M
        """,
    )


def test_slices_equal_rows_and_inference_tensors(run: Run) -> None:
    check(
        run,
        """
        x, xs, w, ws = operands(512)
        for rows in (slice(0, 1), slice(5, 77), slice(500, 512)):
            assert right(mm(x[rows], xs[rows], w, ws), x[rows], xs[rows], w, ws), rows
        same, scale = x[:1].expand(300, -1).contiguous(), xs[:1].expand(300, -1).contiguous()
        result = mm(same, scale, w, ws)
        assert right(result, same, scale, w, ws) and result.is_contiguous()
        assert right(mm(same, xs[:300], w, ws), same, xs[:300], w, ws)
        with torch.inference_mode():
            given = operands(33)
            assert right(mm(*given), *given)
            given[0].copy_(operands(34)[0][:33])
            assert right(mm(*given), *given)
        """,
    )


def test_bias_gelu_tensor_scales_and_wide_types(run: Run) -> None:
    check(
        run,
        """
        x, xs, w, ws = operands(32)
        bias = torch.randn(256, dtype=torch.bfloat16)
        assert right(mm(x, xs, w, ws, bias=bias), x, xs, w, ws, bias.float())
        exact = (x.float() * xs) @ (w.float() * ws).t() + bias.float()
        gelu = torch.nn.functional.gelu(exact, approximate="tanh")
        assert torch.allclose(mm(x, xs, w, ws, bias=bias, use_gelu=True).float(), gelu, atol=0.5, rtol=0.1)
        one = torch.tensor(0.5)
        options = dict(out_dtype=torch.float32, scaleA=one, scaleB=one, bpreshuffle=True)
        whole = aiter.hipb_mm(x, shuffle_weight(w).t(), -1, **options)
        assert torch.allclose(whole, x.float() @ w.float().t() / 4)
        a, b = torch.randn(16, 64, dtype=torch.bfloat16), torch.randn(32, 64, dtype=torch.bfloat16)
        assert torch.allclose(aiter.hipb_mm(a, b.t(), -1).float(), a.float() @ b.float().t(), atol=0.2, rtol=0.05)
        """,
        HIP_ONLINE_TUNING="0",
    )


def test_the_swizzle_is_a_permutation_of_tiles_and_refuses_other_sizes(run: Run) -> None:
    check(
        run,
        """
        w = torch.arange(32 * 64, dtype=torch.int32).to(torch.uint8).view(32, 64)
        s = shuffle_weight(w)
        # The first 16 bytes of the first 16 rows come first, row after row.
        assert torch.equal(s.flatten()[:256].view(16, 16), w[:16, :16])
        assert torch.equal(s.flatten()[256:512].view(16, 16), w[:16, 16:32])
        assert torch.equal(s.flatten().sort()[0], w.flatten().sort()[0])
        for shape in ((24, 64), (32, 48)):
            try:
                shuffle_weight(torch.zeros(shape, dtype=torch.uint8))
            except AssertionError:
                continue
            raise SystemExit(f"{shape} was accepted")
        """,
    )


def test_the_checks_of_hipb_mm(run: Run) -> None:
    check(
        run,
        """
        x, xs, w, ws = operands(16)
        def refused(message, **changes):
            given = dict(x=x, xs=xs, w=w, ws=ws) | {k: v for k, v in changes.items() if k != "out"}
            try:
                mm(**given, out_dtype=changes.get("out", torch.bfloat16))
            except RuntimeError as error:
                assert message in str(error), error
            else:
                raise SystemExit(f"accepted: {message}")
        refused("only supports BFloat16 output but got Float", out=torch.float32)
        refused("mat1 dim 1 must match mat2 dim 0", x=x[:, :256].contiguous())
        refused("expected mat1 and mat2 to have the same dtype", x=x.to(torch.float8_e4m3fn))
        refused("must be float (fp32) tensors", xs=xs.double())
        refused("Invalid scaling configuration", xs=xs[:8].contiguous())
        refused("Invalid scaling configuration", xs=xs.t().contiguous())
        """,
    )


def test_a_device_named_cuda_is_there_in_all_spellings(run: Run) -> None:
    check(
        run,
        """
        assert torch.version.hip == "7.2.1" and torch.version.cuda is None
        assert torch.cuda.is_available() and torch.cuda.device_count() == 2
        assert torch.cuda.get_device_properties(1).gcnArchName == "gfx942:sramecc+:xnack-"
        assert torch.cuda.get_device_properties("cuda:0").multi_processor_count == 304
        for device in ("cuda", "cuda:1", torch.device("cuda"), torch.device("cuda", 1)):
            torch.zeros(2, device=device).to(device).cuda()
            torch.nn.Linear(2, 2).to(device)
        with torch.device("cuda"):
            torch.empty(3)
        torch.cuda.set_device(1)
        assert torch.cuda.current_device() == 1
        with torch.cuda.device(0):
            assert torch.cuda.current_device() == 0
        for bad in (lambda: torch.zeros(1, device="cuda:2"), lambda: torch.cuda.set_device(2)):
            try:
                bad()
            except RuntimeError as error:
                assert "invalid device ordinal" in str(error)
            else:
                raise SystemExit("a third device was found")
        """,
    )


def test_events_measure_the_device_clock(run: Run) -> None:
    check(
        run,
        """
        x, xs, w, ws = operands(512, 512, 4096)
        b, bs = shuffle_weight(w).t(), ws.t().contiguous()
        options = dict(out_dtype=torch.bfloat16, scaleA=xs, scaleB=bs, bpreshuffle=True)
        def microseconds(index):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            for _ in range(4):
                aiter.hipb_mm(x, b, index, **options)
            end.record(); end.synchronize()
            return start.elapsed_time(end) * 1000 / 4
        found = aiter.hipb_findallsols(x, b, None, torch.bfloat16, xs, bs, bpreshuffle=True)
        from aiter_simulator import gpu, library
        solutions = library.load(gpu.visible()[0])
        right = [index for index in found if solutions.get(index).kind == "F8N_swizzled"][::64]
        times = {index: microseconds(index) for index in right}
        assert max(times.values()) > 1.2 * min(times.values()), times
        again = {index: microseconds(index) for index in times}
        assert all(abs(again[index] / times[index] - 1) < 0.02 for index in times)
        """,
    )


def test_a_weight_too_large_to_be_kept_is_widened_in_parts(run: Run) -> None:
    check(
        run,
        """
        from aiter_simulator import numerics
        numerics._WHOLE_BYTES, numerics._PART_BYTES = 0, 4 * 512 * 48
        for M in (1, 17):
            given = operands(M, 272)
            assert right(mm(*given), *given) and right(mm(*given, swizzled=False), *given)
        """,
    )


def test_vllms_quantisation_of_activations_is_pertoken_quant(run: Run) -> None:
    check(
        run,
        """
from aiter.ops.quant import dynamic_per_token_scaled_quant
x = torch.randn(3, 64, device="cuda", dtype=torch.bfloat16)
out, scales = torch.empty(3, 64, dtype=aiter.dtypes.fp8, device="cuda"), torch.empty(3, 1, device="cuda")
dynamic_per_token_scaled_quant(out, x, scales, scale_ub=None, shuffle_scale=False, num_rows=None, num_rows_factor=1)
want, want_scales = aiter.pertoken_quant(x, quant_dtype=aiter.dtypes.fp8)
assert torch.equal(out.float(), want.float()) and torch.equal(scales, want_scales)
""",
    )


def test_a_default_type_of_16_bits_does_not_change_the_numbers(run: Run) -> None:
    check(run, "torch.set_default_dtype(torch.bfloat16)\nassert call(4)")
