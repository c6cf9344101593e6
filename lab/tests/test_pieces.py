"""What is built follows its pins; the image is one that runtimes accept; what the machine lacks is named."""

import hashlib
import json
import os
import re
import shutil
import tarfile
import unittest
from unittest import mock

from kuryrlab import dns, paths, pieces, prerequisites, shell


class Keys(unittest.TestCase):
    def test_a_piece_is_made_once_and_again_when_its_pin_changes(self):
        made = []
        with mock.patch.dict(pieces._MAKERS, images=made.append):
            self.assertEqual(pieces.ensure("images"), "made")
            self.assertEqual(pieces.ensure("images"), "kept")
            with mock.patch.dict(pieces.VERSIONS["images"], pause="another:2"):
                self.assertEqual(pieces.ensure("images"), "made")
        self.assertEqual(len(made), 2)

    def test_a_pin_belongs_to_one_piece(self):
        before = {name: pieces.key_of(name) for name in pieces._MAKERS}
        with mock.patch.dict(pieces.VERSIONS, ovn={"suite": "another", "packages": []}):
            changed = [name for name in pieces._MAKERS if pieces.key_of(name) != before[name]]
        self.assertEqual(changed, ["ovn"])

    def test_a_maker_that_fails_leaves_no_key(self):
        with mock.patch.dict(pieces._MAKERS, etcd=mock.Mock(side_effect=shell.LabError("no compiler"))), self.assertRaises(shell.LabError):
            pieces.ensure("etcd")
        self.assertFalse((paths.OPT / "etcd.key").exists())

    def test_the_kubernetes_version_is_read_from_its_pin(self):
        self.assertRegex(pieces._module_version("kubernetes", "k8s.io/kubernetes"), r"^v1\.\d+\.\d+$")


class Image(unittest.TestCase):
    def test_its_layer_holds_the_program_and_fits_its_digest(self):
        paths.RUN.mkdir(parents=True, exist_ok=True)
        program, target = paths.RUN / "program", paths.RUN / "image.tar"
        program.write_bytes(b"#!")
        pieces.write_image(target, ["docker.io/lab/x:1"], ["/program"], ["run"], program)
        with tarfile.open(target) as archive:
            manifest = json.load(archive.extractfile("manifest.json"))
            config = json.load(archive.extractfile("config.json"))
            layer = archive.extractfile("layer.tar").read()
            with tarfile.open(fileobj=archive.extractfile("layer.tar")) as content:
                member = content.getmember("program")
        self.assertEqual(manifest[0]["RepoTags"], ["docker.io/lab/x:1"])
        self.assertEqual(config["rootfs"]["diff_ids"], [f"sha256:{hashlib.sha256(layer).hexdigest()}"])
        self.assertEqual((member.mode, member.uid), (0o755, 0))


class Dns(unittest.TestCase):
    def test_its_objects_name_the_image_that_is_built_and_the_address_that_pods_are_told(self):
        manifest = dns.MANIFEST.read_text()
        self.assertIn(f"image: {pieces.VERSIONS['images']['coredns']}\n", manifest)
        address = re.search(r"clusterDNS: \[(.*)\]", (paths.SOURCE / "conf/kubelet.yaml").read_text())[1]
        self.assertIn(f"clusterIP: {address}\n", manifest)


class Prerequisites(unittest.TestCase):
    def test_all_that_is_missing_is_named_at_once(self):
        wanted = mock.patch.dict(pieces.VERSIONS["host"], disk_gib={"install": 0, "run": 10**6}, memory_gib=10**6)
        with mock.patch.dict(os.environ, PATH="/nowhere"), wanted, self.assertRaises(shell.LabError) as caught:
            prerequisites.check()
        for word in ("Go ", "cargo", "GiB free", "of memory"):
            self.assertIn(word, str(caught.exception))

    def test_disk_for_an_installation_is_wanted_until_all_is_installed(self):
        usage = mock.patch.object(shutil, "disk_usage", return_value=mock.Mock(free=5 * 2**30))
        wanted = mock.patch.dict(pieces.VERSIONS["host"], disk_gib={"install": 6, "run": 2})
        for name in pieces._MAKERS:
            self.install(name)
        with usage, wanted:
            self.assertEqual(prerequisites._disk(), "")
            (paths.OPT / "etcd.key").write_text("that of another pin")
            self.assertIn("5.0 GiB free, 8 are needed", prerequisites._disk())

    def install(self, piece):
        (paths.OPT / piece).mkdir(parents=True, exist_ok=True)
        (paths.OPT / f"{piece}.key").write_text(pieces.key_of(piece))
        self.addCleanup((paths.OPT / f"{piece}.key").unlink)


if __name__ == "__main__":
    unittest.main()
