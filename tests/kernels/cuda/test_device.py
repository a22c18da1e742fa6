"""Which device is chosen, and how it is told: with a device, without one, with packages that do not load."""

from __future__ import annotations

import _ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from livem.commands.checks import gpu as doctor
from livem.errors import MissingDependencyError, PipelineError
from livem.kernels import device
from livem.kernels.device import CudaState, choose_device, find_cuda

CARD = CudaState("NVIDIA H100", "a CUDA device is there")
NONE = CudaState(None, "numba-cuda is installed and sees no CUDA device")


@pytest.mark.parametrize(
    ("wanted", "found", "kind", "text"),
    [
        ("auto", CARD, "cuda", "NVIDIA H100 (a CUDA device is there)"),
        ("cuda", CARD, "cuda", "NVIDIA H100 (as the pipeline says)"),
        ("cpu", CARD, "cpu", "CPU (as the pipeline says)"),
        ("auto", NONE, "cpu", "CPU (numba-cuda is installed and sees no CUDA device)"),
        ("cpu", NONE, "cpu", "CPU (as the pipeline says)"),
    ],
)
def test_the_device_and_why(wanted: str, found: CudaState, kind: str, text: str) -> None:
    chosen = choose_device(wanted, lambda: found)
    assert (chosen.kind, str(chosen)) == (kind, text)


def test_cuda_where_there_is_none_is_an_error_with_the_next_step() -> None:
    with pytest.raises(MissingDependencyError, match=r'sees no CUDA device: pip install .* device = "auto"'):
        choose_device("cuda", lambda: NONE)


@pytest.mark.parametrize("wanted", ["gpu", "", None, 3, "CUDA"])
def test_other_words_are_refused(wanted: Any) -> None:
    with pytest.raises(PipelineError, match="auto, cpu, cuda"):
        choose_device(wanted, lambda: CARD)


def a_package(monkeypatch: pytest.MonkeyPatch, package: Any) -> None:
    def load(name: str) -> Any:
        if isinstance(package, Exception):
            raise package
        return package

    monkeypatch.setattr(device, "find_spec", lambda name: object())
    monkeypatch.setattr(device, "has_driver", lambda: True)
    monkeypatch.setattr(device, "import_module", load)


def test_without_a_driver_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    a_package(monkeypatch, AssertionError("it must not be asked for"))
    monkeypatch.setattr(device, "has_driver", lambda: False)
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    assert find_cuda() == CudaState(None, "there is no NVIDIA driver, so no CUDA device")


def test_a_driver_is_a_library_that_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CUDA_DRIVER", raising=False)
    assert not device.has_driver(["libnobody-has-this.so.1"])
    assert device.has_driver(["libnobody-has-this.so.1", getattr(_ctypes, "__file__", "")])
    monkeypatch.setenv("NUMBA_CUDA_DRIVER", "/opt/driver/libcuda.so.1")
    assert device.has_driver([])


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "find_spec", lambda name: None)
    assert find_cuda() == CudaState(None, "numba-cuda is not installed")


def test_a_package_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    a_package(monkeypatch, OSError("libcuda.so.1: cannot open"))
    assert find_cuda() == CudaState(None, "numba-cuda cannot be loaded: libcuda.so.1: cannot open")


@pytest.mark.parametrize(("available", "devices"), [(False, [1]), (True, [])])
def test_a_package_without_a_device(
    available: bool, devices: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_package(monkeypatch, SimpleNamespace(is_available=lambda: available, list_devices=lambda: devices))
    found = find_cuda()
    assert found.name is None
    assert "sees no CUDA device" in found.text


@pytest.mark.parametrize("name", ["NVIDIA A100", b"NVIDIA A100"])
def test_a_device(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    devices = [SimpleNamespace(name=name)]
    a_package(monkeypatch, SimpleNamespace(is_available=lambda: True, list_devices=lambda: devices))
    assert find_cuda() == CudaState("NVIDIA A100", "a CUDA device is there")


@pytest.mark.parametrize(
    ("card", "found", "level", "text"),
    [
        (True, CARD, "ok", "run on NVIDIA H100 (CUDA)"),
        (False, NONE, "ok", "run on the CPU: numba-cuda is installed"),
        (True, NONE, "problem", "though there is a GPU"),
    ],
)
def test_the_doctor_says_what_kernels_run_on(card: bool, found: CudaState, level: str, text: str) -> None:
    finding = doctor.kernels_run_on(card, lambda: found)
    assert finding.level == level
    assert text in finding.text
    assert bool(finding.fix) == (level == "problem")
