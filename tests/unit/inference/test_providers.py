import onnxruntime
import pytest
import structlog

from sidecar.errors import SettingsInvalid
from sidecar.inference import InferenceService
from sidecar.inference.providers import RUNTIME_NAMES, check_running, runtime_providers
from sidecar.settings import Settings, load_settings
from tests.unit.inference.graphs import cross_bundle

AVAILABLE = onnxruntime.get_available_providers()
MISSING = [name for name, runtime in RUNTIME_NAMES.items() if runtime not in AVAILABLE]


def test_the_cpu_is_the_default_and_always_the_last_resort():
    assert Settings().providers == ("cpu",)
    assert runtime_providers(("cpu",)) == [("CPUExecutionProvider", {})]


@pytest.mark.skipif(not MISSING, reason="this onnxruntime has every provider there is a name for")
def test_a_provider_that_is_not_installed_is_refused_by_name(tmp_path):
    with pytest.raises(SettingsInvalid) as caught:
        InferenceService.load([cross_bundle(tmp_path / "cross")], Settings(threads=1, providers=(MISSING[0], "cpu")))
    assert caught.value.field == "providers"
    assert f"no {MISSING[0]} provider; available: cpu" in caught.value.message
    assert "onnxruntime-" in caught.value.message


def test_a_provider_that_did_not_start_is_refused():
    with pytest.raises(SettingsInvalid, match=r"could not start it.*set providers to cpu"):
        check_running(("cuda",), ["CPUExecutionProvider"])
    check_running(("cpu",), ["CPUExecutionProvider"])


def test_names_in_a_setting_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("SIDECAR_PROVIDERS", "openvino, cpu")
    assert load_settings().providers == ("openvino", "cpu")
    with pytest.raises(SettingsInvalid, match="providers"):
        load_settings(providers="tpu")
    with pytest.raises(SettingsInvalid, match="providers"):
        load_settings(providers="")


def test_what_was_chosen_is_logged_and_told(tmp_path):
    bundle = cross_bundle(tmp_path / "cross")
    with structlog.testing.capture_logs() as logs:
        service = InferenceService.load([bundle], Settings(threads=1))
    created = next(line for line in logs if line["event"] == "session created")
    assert created["providers"] == ["CPUExecutionProvider"]
    assert service.providers == ("cpu",)
    service.close()
