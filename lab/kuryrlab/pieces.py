"""The pieces that are installed or built once: Debian packages, OVN, the OpenStack venv, Kubernetes, CoreDNS, images, user-mode Linux.

Each carries the hash of its pins. A piece whose hash fits is left alone; any other is made anew, and only that one.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from kuryrlab import paths, shell

VERSIONS = tomllib.loads((paths.SOURCE / "versions.toml").read_text())
_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = "#!/bin/sh\n# kuryr-lab: a package just installed starts no service\nexit 101\n"
_LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
_OVN_PROGRAMS = (
    *("usr/bin/ovn-appctl", "usr/bin/ovn-controller", "usr/bin/ovn-nbctl", "usr/bin/ovn-northd", "usr/bin/ovn-sbctl"),
    *("usr/bin/ovn-trace", "usr/bin/ovs-appctl", "usr/bin/ovs-dpctl", "usr/bin/ovs-ofctl", "usr/bin/ovs-vsctl"),
    *("usr/bin/ovsdb-client", "usr/bin/ovsdb-tool", "usr/sbin/ovsdb-server"),
    *("usr/lib/openvswitch-switch/ovs-vswitchd", "usr/lib/openvswitch-common/ovs-vswitchd"),
)
_KUBERNETES_PACKAGES = (
    *(f"k8s.io/kubernetes/cmd/{name}" for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")),
    "k8s.io/kubernetes/test/images/agnhost",
)

_OF_AGNHOST = ("agnhost", "pause")
_PTRACE = paths.SOURCE / "vm" / "ptrace.c"
# What a lab is up without.
_ON_DEMAND = ("vm",)


def key_of(piece: str) -> str:
    """The hash of everything that decides what the piece looks like."""
    digest = hashlib.sha256()
    for part in _INPUTS[piece]():
        digest.update(part)
    return digest.hexdigest()


def ensure(piece: str) -> str:
    """Make the piece unless it is there as the pins want it."""
    if is_made(piece):
        return "kept"
    folder, mark = paths.OPT / piece, _mark(piece)
    mark.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    _MAKERS[piece](folder)
    mark.write_text(key_of(piece))
    return "made"


def is_made(piece: str) -> bool:
    """Whether the piece is there as the pins want it."""
    mark = _mark(piece)
    return mark.exists() and mark.read_text() == key_of(piece) and (paths.OPT / piece).exists()


def are_made() -> bool:
    """Whether nothing has to be installed or built before the lab can be up."""
    return all(is_made(piece) for piece in _MAKERS if piece not in _ON_DEMAND)


def _mark(piece: str) -> Path:
    return paths.OPT / f"{piece}.key"


def debian() -> str:
    """Install the Debian packages that are missing; none of them may start a service."""
    missing = missing_packages()
    if not missing:
        return "kept"
    log = paths.LOG / "apt.log"
    with _no_autostart():
        shell.run(["apt-get", "-q", "update"], log=log)
        shell.run(
            ["apt-get", "-q", "install", "-y", "--no-install-recommends", *missing],
            log=log,
            env={"DEBIAN_FRONTEND": "noninteractive"},
        )
    return f"installed {', '.join(missing)}"


def missing_packages() -> list[str]:
    """Which of the wanted Debian packages are not installed."""
    listed = shell.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n"])
    have = {line.split()[1] for line in listed.splitlines() if line.startswith("ii")}
    return [name for name in VERSIONS["host"]["packages"] if name not in have]


@contextlib.contextmanager
def _no_autostart() -> Iterator[None]:
    mine = not _POLICY.exists()
    if mine:
        _POLICY.write_text(_POLICY_TEXT)
        _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if mine:
            _POLICY.unlink()


def sweep_policy() -> None:
    """Remove the file that an interrupted installation left."""
    if _POLICY.exists() and _POLICY.read_text() == _POLICY_TEXT:
        _POLICY.unlink()


def _make_ovn(folder: Path) -> None:
    private = folder / ".apt"
    debs = private / "debs"
    for sub in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg", "debs"):
        (private / sub).mkdir(parents=True, exist_ok=True)
    (private / "var/lib/dpkg/status").touch()
    mirror = shell.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Codename: bookworm"]).split()[0]
    sources = private / "sources.list"
    sources.write_text(f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {VERSIONS['ovn']['suite']} main\n")
    settings = private / "apt.conf"
    settings.write_text(
        f'Dir "{private}";\nDir::Etc::sourcelist "{sources}";\nDir::State::status "{private}/var/lib/dpkg/status";\n'
        'APT::Sandbox::User "root";\nAcquire::Languages "none";\nAPT::Architecture "amd64";\n'
    )
    env = {"APT_CONFIG": str(settings)}
    log = paths.LOG / "ovn-fetch.log"
    shell.run(["apt-get", "-q", "update"], env=env, log=log)
    shell.run(["apt-get", "-q", "download", *VERSIONS["ovn"]["packages"]], env=env, cwd=debs, log=log)
    for deb in sorted(debs.glob("*.deb")):
        shell.run(["dpkg-deb", "-x", deb, folder])
    shutil.rmtree(private)
    _wrap_programs(folder)


def _wrap_programs(folder: Path) -> None:
    """Run each program with the C library that it was built for, by that library's own loader."""
    loader = next(
        path for path in (folder / sub / "ld-linux-x86-64.so.2" for sub in ("usr/lib64", "lib64", *_LIBRARY_FOLDERS)) if path.exists()
    )
    libraries = ":".join(str(folder / sub) for sub in _LIBRARY_FOLDERS)
    (folder / "bin").mkdir(exist_ok=True)
    for program in (folder / name for name in _OVN_PROGRAMS):
        if not program.exists() or program.read_bytes()[:4] != b"\x7fELF":
            continue
        wrapper = folder / "bin" / program.name
        wrapper.write_text(f'#!/bin/sh\nexec {loader} --library-path {libraries} --argv0 {program.name} {program} "$@"\n')
        wrapper.chmod(0o755)


def _make_venv(folder: Path) -> None:
    log = paths.LOG / "venv.log"
    # Debian's own interpreter is built with profile feedback: the services run 1.6 times as fast as with a plain build.
    shell.run(["/usr/bin/python3", "-m", "venv", "--clear", folder], log=log)
    pip = _pip_environment()
    shell.run([folder / "bin/pip", "install", "-q", f"uv=={VERSIONS['venv']['uv']}"], log=log, env=pip)
    wanted = ["-r", paths.PINS / "requirements.txt", "-c", paths.PINS / "constraints.txt"]
    shell.run(
        [folder / "bin/uv", "pip", "install", "-q", "--compile-bytecode", "--python", folder / "bin/python", *wanted],
        log=log,
        env=pip,
    )


def _make_vm(folder: Path) -> None:
    debs = folder / "debs"
    debs.mkdir(exist_ok=True)
    log = paths.LOG / "vm-fetch.log"
    fetch = ["apt-get", "-q", "download", *VERSIONS["vm"]["packages"]]
    try:
        shell.run(fetch, cwd=debs, log=log)
    except shell.CommandError:
        # The lists may be of a time when there were other versions.
        shell.run(["apt-get", "-q", "update"], log=log)
        shell.run(fetch, cwd=debs, log=log)
    for deb in sorted(debs.glob("*.deb")):
        shell.run(["dpkg-deb", "-x", deb, folder])
    shutil.rmtree(debs)
    shell.run(["gcc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", folder / "ptrace.so", _PTRACE], log=log)
    # Where modprobe looks for them below a root.
    (folder / "root/lib").mkdir(parents=True, exist_ok=True)
    link = folder / "root/lib/modules"
    link.unlink(missing_ok=True)
    link.symlink_to(folder / "usr/lib/uml/modules")


def _pip_environment() -> dict[str, str]:
    # Bytecode is wanted here: without it every start of a service would compile all it imports.
    mine = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "UV_", "SSL_CERT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"))
    }
    return {**mine, "PYTHONDONTWRITEBYTECODE": ""}


def _make_kubernetes(folder: Path) -> None:
    version = _module_version("kubernetes", "k8s.io/kubernetes")
    package = "k8s.io/component-base/version"
    minor = version.split(".")[1]
    # Without a version of this form every component stops at its start.
    stamps = {
        f"{package}.gitVersion": version,
        f"{package}.gitMajor": "1",
        f"{package}.gitMinor": minor,
        f"{package}.gitTreeState": "clean",
        "k8s.io/client-go/pkg/version.gitVersion": version,
    }
    flags = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in stamps.items())])
    _go_build("kubernetes", flags, folder / "bin", _KUBERNETES_PACKAGES)


def _make_etcd(folder: Path) -> None:
    # The command's package is called `server`: what comes out has to be given its name.
    _go_build("etcd", "-s -w", folder / "bin" / "etcd", ("go.etcd.io/etcd/server/v3",))


def _make_coredns(folder: Path) -> None:
    program = folder / "bin" / "coredns"
    _go_build("coredns", "-s -w", program, ("github.com/coredns/coredns",))
    write_image(folder / "coredns.tar", [VERSIONS["images"]["coredns"]], ["/coredns"], [], program)


def _go_build(pin: str, flags: str, output: Path, packages: tuple[str, ...]) -> None:
    folder = output if len(packages) > 1 else output.parent
    folder.mkdir(parents=True, exist_ok=True)
    mine = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith(("GO", "HTTPS_PROXY", "SSL_CERT"))}
    target = f"{output}/" if len(packages) > 1 else str(output)
    words = ["go", "build", "-trimpath", "-ldflags", flags, "-o", target, *packages]
    env = {**mine, "CGO_ENABLED": "0", "TMPDIR": "/tmp"}
    shell.run(words, env=env, cwd=paths.PINS / pin, log=paths.LOG / f"build-{pin}.log", timeout=3600)


def _module_version(pin: str, module: str) -> str:
    for line in (paths.PINS / pin / "go.mod").read_text().splitlines():
        found = re.match(rf"(?:require\s+|\s*){re.escape(module)}\s+(v\S+)", line)
        if found:
            return found[1]
    raise shell.LabError(f"pins/{pin}/go.mod names no version of {module}")


def _make_images(folder: Path) -> None:
    program = paths.KUBERNETES_BIN / "agnhost"
    write_image(folder / "agnhost.tar", [VERSIONS["images"][name] for name in _OF_AGNHOST], ["/agnhost"], ["pause"], program)


def write_image(target: Path, names: list[str], entry: list[str], command: list[str], program: Path) -> None:
    """A one-layer image of one static program, as an archive that container runtimes import: no engine, no registry."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        info = archive.gettarinfo(str(program), arcname=program.name)
        info.mode, info.uid, info.gid, info.uname, info.gname, info.mtime = 0o755, 0, 0, "", "", 0
        with program.open("rb") as content:
            archive.addfile(info, content)
        temporary = tarfile.TarInfo("tmp")
        temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(temporary)
    content = layer.getvalue()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": entry, "Cmd": command},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": names, "Layers": ["layer.tar"]}]
    files = {"manifest.json": json.dumps(manifest).encode(), "config.json": json.dumps(config).encode(), "layer.tar": content}
    with tarfile.open(target, "w") as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))


def _files(*names: str) -> Iterator[bytes]:
    for name in names:
        yield (paths.PINS / name).read_bytes()


def _image_names(*names: str) -> Iterator[bytes]:
    for name in names:
        yield VERSIONS["images"][name].encode()


def _settings(*tables: str) -> bytes:
    return json.dumps([VERSIONS[table] for table in tables], sort_keys=True).encode()


_INPUTS: dict[str, Callable[[], Iterator[bytes]]] = {
    "ovn": lambda: iter([_settings("ovn"), str(paths.OVN).encode()]),
    "venv": lambda: iter([*_files("requirements.txt", "constraints.txt"), _settings("venv"), str(paths.VENV).encode()]),
    "kubernetes": lambda: _files("kubernetes/go.mod", "kubernetes/go.sum"),
    "etcd": lambda: _files("etcd/go.mod", "etcd/go.sum"),
    "images": lambda: iter([*_image_names(*_OF_AGNHOST), *_files("kubernetes/go.mod")]),
    "coredns": lambda: iter([*_image_names("coredns"), *_files("coredns/go.mod", "coredns/go.sum")]),
    "vm": lambda: iter([_settings("vm"), str(paths.VM).encode(), _PTRACE.read_bytes()]),
}
_MAKERS: dict[str, Callable[[Path], None]] = {
    "ovn": _make_ovn,
    "venv": _make_venv,
    "kubernetes": _make_kubernetes,
    "etcd": _make_etcd,
    "images": _make_images,
    "coredns": _make_coredns,
    "vm": _make_vm,
}
