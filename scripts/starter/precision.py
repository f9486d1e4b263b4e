"""In which precision the bodies compute: bfloat16 where the processor has instructions for it, else float32."""

import torch


def arithmetic(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU and on CPUs with AVX-512 or AMX, float32 on others.

    A processor with AVX2 alone has to imitate bfloat16: a training step there took fourteen times float32's time.
    """
    if device.type != "cpu" or torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "AMX")):  # type: ignore[no-untyped-call]
        return torch.bfloat16
    return torch.float32


def mixed(device: torch.device) -> torch.autocast:
    """A context in which products are computed in `arithmetic(device)`."""
    dtype = arithmetic(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16)
