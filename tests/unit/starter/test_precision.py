"""bfloat16 where the processor computes with it; imitated, it takes many times as long as float32."""

import pytest
import torch

from scripts.starter.precision import arithmetic, mixed


@pytest.mark.parametrize(
    ("capability", "wanted"),
    [
        ("AMX", torch.bfloat16),
        ("AVX512_VNNI", torch.bfloat16),
        ("AVX512", torch.bfloat16),
        ("AVX2", torch.float32),
        ("DEFAULT", torch.float32),
        ("NO AVX", torch.float32),
    ],
)
def test_processors_without_instructions_for_it_compute_in_float32(
    capability: str, wanted: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    cpu = torch.device("cpu")
    assert arithmetic(cpu) is wanted
    with mixed(cpu):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is wanted


def test_a_graphics_card_computes_in_bfloat16() -> None:
    assert arithmetic(torch.device("cuda")) is torch.bfloat16
