"""The systemd unit: what systemd itself thinks of it, and that nobody's changes are lost."""

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.commands.service import install_service, uninstall_service
from edge.config import load
from edge.errors import ConfigError, ServiceError, WheatearError
from edge.service import Service, is_changed

TRUE = Path(shutil.which("true"))
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd: apt-get install systemd"
)


def service(**options):
    return Service(**{"program": TRUE, **options})


def parsed(text):
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(text)
    return unit


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """A `systemctl` that writes down what it is told; a home of its own."""
    folder, told = tmp_path / "bin", tmp_path / "told"
    folder.mkdir()
    (folder / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    (folder / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return lambda: told.read_text().splitlines() if told.exists() else []


@needs_systemd
@pytest.mark.parametrize("options", [{}, {"run_as": "daemon"}, {"config": Path("/srv/my sensors/50% $x.toml")}])
def test_systemd_finds_nothing_wrong(tmp_path, options):
    path = tmp_path / "wheatear.service"
    path.write_text(service(root=tmp_path, **options).text())
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_users_unit(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "wheatear.service"
    path.write_text(service(user=True).text())
    done = subprocess.run(["systemd-analyze", "--user", "verify", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_systemd_rates_its_exposure_low(tmp_path):
    path = tmp_path / "wheatear.service"
    path.write_text(service(root=tmp_path).text())
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "offline" in done.stderr:
        pytest.skip(f"this systemd cannot look at a file: {done.stderr.strip()}")
    found = re.search(r"Overall exposure level for wheatear.service: ([\d.]+)", done.stdout)
    assert float(found[1]) <= 2.0  # of 10; a unit without any of it has 9.6


def test_the_service_is_watched_and_gains_no_privileges():
    unit = parsed(service().text())["Service"]
    assert (unit["Type"], unit["NotifyAccess"], unit["DynamicUser"]) == ("notify", "main", "yes")
    assert 10 <= int(unit["WatchdogSec"]) <= 300
    assert (unit["NoNewPrivileges"], unit["ProtectSystem"], unit["PrivateTmp"]) == ("yes", "strict", "yes")
    assert (unit["SupplementaryGroups"], unit["CapabilityBoundingSet"]) == ("audio", "")
    assert (unit["DevicePolicy"], unit["DeviceAllow"]) == ("closed", "char-alsa rw")
    assert (unit["StateDirectory"], unit["CacheDirectory"], unit["ProtectHome"]) == ("wheatear", "wheatear", "yes")
    assert unit["ExecStart"] == f"{TRUE} run --config /etc/wheatear/sensor.toml"


def test_files_of_the_service_lie_in_its_own_folders():
    words = parsed(service().text())["Service"]["Environment"].split()
    places = dict(word.split("=", 1) for word in words)
    assert places["XDG_STATE_HOME"] == places["XDG_DATA_HOME"] == "/var/lib"
    assert places["NUMBA_CACHE_DIR"].startswith(f"{places['XDG_CACHE_HOME']}/wheatear/")


def test_it_runs_as_whom_it_is_told():
    unit = parsed(service(run_as="pi").text())["Service"]
    assert (unit["User"], "DynamicUser" in unit) == ("pi", False)
    with pytest.raises(ConfigError, match="expected a user's name, got 'pi\\\\nUser=root'"):
        service(run_as="pi\nUser=root").text()


def test_no_path_breaks_out_of_its_line():
    text = service(config=Path('/a b/%h $HOME "q" \\.toml')).text()
    assert f'ExecStart={TRUE} run --config "/a b/%%h $$HOME \\"q\\" \\\\.toml"\n' in text
    with pytest.raises(ConfigError, match="without control characters"):
        service(config=Path("/a\nExecStartPre=/bin/sh")).text()


def test_a_program_that_the_services_user_could_not_reach_is_refused(tmp_path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    program = private / "wheatear"
    program.write_text("")
    with pytest.raises(ServiceError, match=r"is closed to other users.*install into /opt/wheatear, or use --as USER"):
        Service(program=program).text()
    assert "User=pi" in Service(program=program, run_as="pi").text()


def test_a_program_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ServiceError, match=r"expected the command at .*wheatear, got none: install it with pip"):
        Service(program=tmp_path / "wheatear").text()


def test_installed_changed_replaced_and_removed(systemctl):
    one = service(user=True)
    done = one.install()
    assert [line.split()[0] for line in done] == ["wrote", "wrote", "enabled"]
    assert load(one.config_path).device_name == "garden"
    assert systemctl() == [
        "--user daemon-reload",
        "--user enable wheatear.service",
        "--user restart wheatear.service",
    ]
    assert not is_changed(one.unit_path)
    one.install()  # as often as one likes
    changed = one.unit_path.read_text().replace("WatchdogSec=60", "WatchdogSec=90")
    one.unit_path.write_text(changed)
    for act in (one.install, one.uninstall):
        with pytest.raises(ServiceError, match=r"was changed by hand; .*--force"):
            act()
    assert one.unit_path.read_text() == changed
    one.install(force=True)
    assert "WatchdogSec=60" in one.unit_path.read_text()
    one.uninstall()
    assert not one.unit_path.exists()
    assert one.config_path.exists()
    assert systemctl()[-2:] == ["--user disable --now wheatear.service", "--user daemon-reload"]
    with pytest.raises(ServiceError, match=r"expected the service's unit, got none; is it a system \(without --user\)"):
        one.uninstall()


def test_a_configuration_that_is_there_stays(systemctl, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('device = "mine"\n')
    one = service(user=True, config=mine)
    assert len(one.install()) == 2
    assert mine.read_text() == 'device = "mine"\n'
    assert f"--config {mine}" in one.unit_path.read_text()


def test_a_card_that_is_not_running_only_gets_the_files(systemctl, tmp_path):
    one = service(root=tmp_path / "card")
    one.install()
    assert (tmp_path / "card/etc/systemd/system/wheatear.service").exists()
    assert load(tmp_path / "card/etc/wheatear/sensor.toml").device_name == "garden"
    one.uninstall()
    assert systemctl() == []


def test_what_systemd_refuses_is_said(systemctl, tmp_path):
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    with pytest.raises(ServiceError, match="`systemctl --user daemon-reload` failed: Failed to connect to bus"):
        service(user=True).install()


def test_the_commands(systemctl, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    (tmp_path / "bin" / "wheatear").write_text("")
    card = ["--root", str(tmp_path / "card")]
    shown = CliRunner().invoke(install_service, [*card, "--dry-run"])
    assert shown.exit_code == 0
    assert not (tmp_path / "card").exists()
    assert CliRunner().invoke(install_service, card).exit_code == 0
    assert (tmp_path / "card/etc/systemd/system/wheatear.service").read_text() == shown.stdout
    assert CliRunner().invoke(uninstall_service, card).exit_code == 0
    again = CliRunner().invoke(uninstall_service, card)
    assert isinstance(again.exception, WheatearError)
    assert again.exception.exit_code == 1
