"""The content that a fresh lab starts with: schemas, Keystone's users, the networks that Kuryr needs.

Migrations and API calls make it once, in about a minute; a snapshot of the databases, kept under the hash of all that
it depends on, brings it back in two seconds. So the lab's networks keep their ids for as long as the pins stay.
"""

import hashlib
import json
import shutil
import tarfile

from kuryrlab import layout, openstack, ovs, paths, pieces, shell

LAYOUT = paths.DATA / "layout.json"
_SNAPSHOT = paths.DUMPS / "seed"
_KEY_FILE = _SNAPSHOT / "key"
_NORTHBOUND = paths.DATA / "ovn" / "ovnnb_db.db"


def available() -> bool:
    """Whether a snapshot of just this content exists."""
    return _KEY_FILE.exists() and _KEY_FILE.read_text() == _key()


def load_files() -> str:
    """Put back what has to lie there before the daemons start: Keystone's database and OVN's northbound one."""
    if not available():
        return "no snapshot yet"
    if not (paths.DATA / "keystone" / "keystone.db").exists():
        with tarfile.open(_SNAPSHOT / "keystone.tar") as archive:
            archive.extractall(paths.DATA / "keystone")
    if not _NORTHBOUND.exists():
        _NORTHBOUND.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_SNAPSHOT / "ovnnb.db", _NORTHBOUND)
    if not LAYOUT.exists():
        shutil.copy(_SNAPSHOT / "layout.json", LAYOUT)
    return ""


def fill_databases() -> str:
    """Make Neutron's and Octavia's databases, from the snapshot or by their migrations."""
    have = openstack.sql("show databases").split()
    if "seeded" in have:
        return "kept"
    openstack.sql("create user if not exists 'lab'@'%' identified by 'lab'; grant all on *.* to 'lab'@'%'")
    ready = available()
    for name in openstack.DATABASES:
        openstack.sql(f"drop database if exists {name}; create database {name} character set utf8mb3")
        if ready:
            _load_sql(name)
        else:
            _migrate(name)
    openstack.sql("create database seeded")
    return "from the snapshot" if ready else "by migrations"


def fill_keystone_tables() -> str:
    """Make Keystone's database and keys."""
    if (paths.DATA / "keystone" / "keystone.db").exists():
        return "kept"
    log = paths.LOG / "keystone-manage.log"
    owner = ["--keystone-user", "root", "--keystone-group", "root"]
    urls = [word for kind in ("admin", "internal", "public") for word in (f"--bootstrap-{kind}-url", paths.KEYSTONE_URL)]
    bootstrap = ["bootstrap", "--bootstrap-password", "secret", *urls, "--bootstrap-region-id", "RegionOne"]
    for words in (["db_sync"], ["fernet_setup", *owner], ["credential_setup", *owner], bootstrap):
        shell.run([paths.VENV / "bin" / "keystone-manage", "--config-file", paths.ETC / "keystone" / "keystone.conf", *words], log=log)
    return ""


def fill_keystone() -> str:
    """Make the users, the project and the catalogue."""
    if available():
        return "from the snapshot"
    openstack.run_content("keystone.py", paths.NEUTRON_URL, paths.OCTAVIA_URL)
    return ""


def build_program() -> str:
    """Build the program that makes the networks, if they have to be made."""
    if LAYOUT.exists() or available():
        return "not needed"
    layout.build_program()
    return ""


def make_layout() -> str:
    """Make the networks, or find them there already."""
    if LAYOUT.exists():
        return "kept"
    LAYOUT.write_text(layout.make())
    _save()
    return ""


def networks() -> dict:
    """What is known of the networks."""
    return json.loads(LAYOUT.read_text())


def _save() -> None:
    shutil.rmtree(_SNAPSHOT, ignore_errors=True)
    _SNAPSHOT.mkdir(parents=True)
    for name in openstack.DATABASES:
        dump = shell.run(["mariadb-dump", "--no-defaults", "-S", openstack.MYSQL_SOCKET, "--single-transaction", name])
        (_SNAPSHOT / f"{name}.sql").write_text(dump)
    with tarfile.open(_SNAPSHOT / "keystone.tar", "w") as archive:
        archive.add(paths.DATA / "keystone", arcname=".")
    backup = shell.run(["ovsdb-client", "backup", f"unix:{ovs.OVN_RUN}/ovnnb_db.sock"])
    (_SNAPSHOT / "ovnnb.db").write_text(backup)
    shutil.copy(LAYOUT, _SNAPSHOT / "layout.json")
    _KEY_FILE.write_text(_key())


def _load_sql(name: str) -> None:
    openstack.sql((_SNAPSHOT / f"{name}.sql").read_text(), name)


def _migrate(name: str) -> None:
    etc, tools = paths.ETC, paths.VENV / "bin"
    commands = {
        "neutron": [
            tools / "neutron-db-manage",
            "--config-file",
            etc / "neutron.conf",
            "--config-file",
            etc / "ml2_conf.ini",
            "upgrade",
            "heads",
        ],
        "octavia": [tools / "octavia-db-manage", "--config-file", etc / "octavia.conf", "upgrade", "head"],
    }
    shell.run(commands[name], log=paths.LOG / f"{name}-migrations.log")


def _key() -> str:
    files = [*sorted((paths.SOURCE / "conf").iterdir()), *sorted((paths.SOURCE / "content").glob("*.py"))]
    digest = hashlib.sha256(pieces.key_of("venv").encode() + pieces.key_of("ovn").encode())
    for part in (*(path.read_bytes() for path in files), *layout.inputs()):
        digest.update(part)
    return digest.hexdigest()
