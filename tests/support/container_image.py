"""layover's container image: the last stage of docker/Dockerfile, built around a binary that is there
already, on a slim Debian that debootstrap makes once and the test cache keeps."""

import shutil

from tests.support.images import ROOT, cache
from tests.support.processes import run

DOCKERFILE = ROOT / "docker" / "Dockerfile"
_BINARY_IN_BUILD_STAGE = "usr/local/bin/layover"
_NOT_IN_SLIM = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache/apt/archives",
                "var/lib/apt/lists")


def build_image(store, binary, directory):
    """Gives the image's name in `store`. Needs Debian's archive, as any build of the image does."""
    stage = _last_stage(DOCKERFILE.read_text())
    base = stage.split()[1]
    store.podman("import", "--quiet", _debian(), base)
    built = directory / "build" / _BINARY_IN_BUILD_STAGE
    built.parent.mkdir(parents=True)
    shutil.copy(binary, built)
    dockerfile, context = directory / "Dockerfile", directory / "context"
    dockerfile.write_text(stage)
    context.mkdir()
    store.buildah("build", "--pull=never", "--isolation", "chroot", "--format", "docker", "--quiet",
                  "--signature-policy", store.policy, "--build-context", f"build={directory / 'build'}",
                  "--file", dockerfile, "--tag", "localhost/layover:test", context)
    return "localhost/layover:test"


def _last_stage(dockerfile):
    return dockerfile[dockerfile.rindex("\nFROM ") + 1:]


def _debian():
    """A tar of the smallest Debian 12, without what bookworm-slim leaves out."""
    tar = cache() / "debian-bookworm-minbase.tar"
    if not tar.exists():
        tree, partial = cache() / "debian-bookworm", tar.with_suffix(".partial")
        shutil.rmtree(tree, ignore_errors=True)
        # A mount namespace of its own: what debootstrap mounts is gone with it, however it ends.
        run(["unshare", "--mount", "debootstrap", "--variant=minbase", "bookworm", tree], timeout=300,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        run(["tar", "--create", "--file", partial, "--directory", tree, "--numeric-owner",
             *(f"--exclude=./{path}/*" for path in _NOT_IN_SLIM), "."])
        shutil.rmtree(tree)
        partial.rename(tar)
    return tar
