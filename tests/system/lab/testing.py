"""What system tests share: the settings of a run, skipping with a reason, a stage with kept logs."""
import contextlib
import dataclasses
import os
import pathlib
import shutil

from .namespaces import Lab
from .stage import APPLICATION, Stage
from .vigil import Vigil


class Skip(Exception):
    """The test cannot run here; the message says why."""


@dataclasses.dataclass
class Settings:
    bin: pathlib.Path
    logs: pathlib.Path
    test_name: str = ""


@contextlib.contextmanager
def laboratory(settings, programs=("nullmodem", "probe", "echod"), **options):
    """A Lab, when this machine and this build can have one; its logs are kept when the test fails."""
    if os.geteuid() != 0:
        raise Skip("network namespaces need root")
    missing = [p for p in programs if not (settings.bin / p).exists()]
    if missing:
        raise Skip(f"not built: {', '.join(missing)}")
    shutil.rmtree(settings.logs / settings.test_name, ignore_errors=True)
    with Lab(settings.bin, **options) as lab:
        try:
            yield lab
        except Skip:
            raise
        except BaseException:
            keep_logs(lab, settings.logs / settings.test_name)
            raise


@contextlib.contextmanager
def cluster(settings, profile="lan", application=APPLICATION, extra="", **options):
    """A running, healthy cluster with its client."""
    with laboratory(settings, **options) as lab:
        missing = Vigil.missing(lab)
        if missing:
            raise Skip(f"not built: {', '.join(missing)}")
        stage = Stage(lab, profile, application, extra)
        stage.open()
        yield stage


@contextlib.contextmanager
def daemons(settings, profile="lan", application=None, extra="", **options):
    """(lab, Vigil) with nothing started yet."""
    with laboratory(settings, **options) as lab:
        missing = Vigil.missing(lab)
        if missing:
            raise Skip(f"not built: {', '.join(missing)}")
        yield lab, Vigil(lab, profile, application, extra)


def keep_logs(lab, target):
    """The daemons' logs and the configuration, for whoever has to find out why."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in [*lab.dir.glob("*/*.log"), *lab.dir.glob("*.log"), *lab.dir.glob("*.toml")]:
        name = path.name if path.parent == lab.dir else f"{path.parent.name}-{path.name}"
        shutil.copy(path, target / name)
