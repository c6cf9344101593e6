"""A VM's commands arrive as they were given, its settings are read by its shell, and lab.json tells of it only if there is one."""

import json
import os
import re
import shlex
import shutil
import subprocess
import unittest
from pathlib import Path
from unittest import mock

from kuryrlab import cluster, facts, kuryr, paths, pieces, prerequisites, runtime, shell, sweep, workers
from kuryrlab.node import Node
from kuryrlab.places import ROOT, start_init, write_pid
from kuryrlab.vm import Vm, devices
from kuryrlab.vm_place import VmPlace

LAYOUT = {
    "network": {"id": "n", "name": "k8s-worker-net", "mtu": 1442},
    "subnet": {"id": "s", "name": "k8s-worker-subnet", "cidr": "10.2.0.0/24", "gateway": "10.2.0.1"},
    "leg": {"port": "l", "mac": "fa:16:3e:00:00:02", "address": "10.2.0.2"},
    "vms": {"vm1": {"port": "p", "mac": "fa:16:3e:00:00:01", "address": "10.2.0.7", "trunk": "t"}},
}


class OfVms(unittest.TestCase):
    def setUp(self):
        paths.DATA.mkdir(parents=True, exist_ok=True)
        (paths.VMS / "vm1").mkdir(parents=True)
        (paths.DATA / "workers.json").write_text(json.dumps(LAYOUT))
        self.addCleanup(shutil.rmtree, paths.VMS)
        self.addCleanup((paths.DATA / "workers.json").unlink)

    def turn_on(self):
        """As far as the lab can tell."""
        file = VmPlace("vm1").init_file
        write_pid(file, Path("/proc"), os.getpid())
        self.addCleanup(file.unlink)


class Commands(OfVms):
    def test_words_arrive_as_they_were_given(self):
        self.turn_on()
        words = ["printf", "%s\n", "two words", "it's", "$HOME", "", "*"]
        remote = VmPlace("vm1").command(words, {"OWN": "a b"})[-1]
        self.assertTrue(remote.endswith(shlex.join(words)))
        without = remote.replace("nsenter --net=/proc/1/ns/net --", "env")
        self.assertEqual(subprocess.check_output(["sh", "-c", without], text=True).split("\n")[:-1], words[2:])
        printed = subprocess.check_output(["sh", "-c", without.replace(shlex.join(words), "printenv OWN")], text=True)
        self.assertEqual(printed, "a b\n")

    def test_a_vm_that_is_off_is_named_with_what_turns_it_on(self):
        with self.assertRaisesRegex(shell.LabError, "vm1 is off: `lab nested up vm1`"):
            VmPlace("vm1").command(["true"])
        self.assertIsNone(VmPlace("vm1").find("kubelet"))

    def test_each_has_an_address_and_devices_of_its_own(self):
        self.assertEqual(len({VmPlace(name).cable_address for name in paths.VM_NAMES}), len(paths.VM_NAMES))
        names = [device for name in paths.VM_NAMES for device in devices(name)]
        self.assertEqual(len(set(names)), len(names))
        self.assertTrue(all(len(name) < 16 for name in names), "the kernel's limit")

    def test_names_lead_to_nodes_and_to_vms(self):
        self.assertIsInstance(cluster.find("vm2"), Vm)
        self.assertIsInstance(cluster.find("node1"), Node)
        with self.assertRaises(shell.LabError):
            cluster.find("vm99")


class Files(OfVms):
    def test_the_kernel_and_the_first_program_are_told_of_the_home(self):
        words = Vm("vm1")._words()
        self.assertIn(f"vm_home={paths.VMS}/vm1", words)
        self.assertIn(f"init={paths.SOURCE}/vm/init", words)
        self.assertTrue(any(word.startswith("vec0:") and "ifname=lab-vm1," in word for word in words))

    def test_its_shell_finds_every_setting_that_it_uses(self):
        vm = Vm("vm1")
        with mock.patch("kuryrlab.pki.issue_vm"), mock.patch.object(runtime, "write_files"), mock.patch.object(shell, "run"):
            vm.shared.mkdir(parents=True)
            vm._write_files()
        wanted = set(re.findall(r"\$\{?([A-Z_]{2,})", (paths.SOURCE / "vm/init").read_text()))
        lines = dict(line.split("=", 1) for line in (vm.home / "settings").read_text().splitlines())
        self.assertEqual(wanted - set(lines), set())
        self.assertEqual(lines["ADDRESS"], "10.2.0.7/24")

    def test_a_disk_is_kept_only_after_a_halt(self):
        vm = Vm("vm1")
        with mock.patch.object(shell, "run") as made:
            self.assertFalse(vm._make_disk())
            vm._halted.touch()
            self.assertTrue(vm._make_disk())
            self.assertFalse(vm._make_disk())
        self.assertEqual(sum("mkfs.ext4" in call.args[0] for call in made.call_args_list), 2)


class Facts(OfVms):
    def test_lab_json_tells_of_vms_and_keeps_the_rest(self):
        paths.FACTS.write_text('{"nodes": [1]}')
        self.addCleanup(paths.FACTS.unlink)
        facts.tell_of_vms()
        told = json.loads(paths.FACTS.read_text())
        self.assertEqual((told["nodes"], told["nested"]["subnet"]["id"]), ([1], "s"))
        vm = told["nested"]["vms"][0]
        self.assertEqual((vm["name"], vm["address"], vm["port"], vm["trunk"]), ("vm1", "10.2.0.7", "p", "t"))
        with mock.patch.object(workers, "known", return_value=None):
            facts.tell_of_vms()
        self.assertNotIn("nested", json.loads(paths.FACTS.read_text()))

    def test_the_controller_is_told_of_the_workers_subnet_once_there_is_one(self):
        self.assertEqual(kuryr._nested_settings(), {"pod_vif_nested": {"worker_nodes_subnets": "s"}})
        with mock.patch.object(workers, "known", return_value=None):
            self.assertEqual(kuryr._nested_settings(), {})


class Kuryr(OfVms):
    def test_its_daemon_runs_from_what_the_vm_sees(self):
        files = kuryr._daemon_files(Vm("vm1"))
        files.bin.mkdir(parents=True)
        self.assertEqual(files.words("kuryr-daemon"), ("/shared/kuryr/bin/kuryr-daemon", "--config-file", "/shared/kuryr/kuryr.conf"))
        files.extra.touch()
        self.assertEqual(files.words("kuryr-daemon")[-1], "/shared/kuryr/extra.conf")

    def test_a_daemon_is_told_apart_by_its_own_files_alone(self):
        files = kuryr._daemon_files(Vm("vm1"))
        files.bin.mkdir(parents=True)
        before, controller = files.fingerprint("kuryr-daemon"), kuryr._controller_files().fingerprint("kuryr-k8s-controller")
        files.conf.write_text("[DEFAULT]\n")
        self.assertNotEqual(files.fingerprint("kuryr-daemon"), before)
        self.assertEqual(kuryr._controller_files().fingerprint("kuryr-k8s-controller"), controller)


class Pieces(unittest.TestCase):
    def test_a_lab_without_vms_wants_no_disk_for_them(self):
        with mock.patch.object(pieces, "is_made", side_effect=lambda piece: piece != "vm"):
            self.assertTrue(pieces.are_made())
            self.assertEqual(prerequisites._disk(), "")


class Leftovers(unittest.TestCase):
    def test_a_vm_s_devices_are_seen(self):
        self.assertTrue(all(Path(f"/sys/class/net/{name}").exists() for name in sweep._interfaces()))
        with mock.patch.object(Path, "exists", return_value=True):
            self.assertIn("lab-vm1-cable", sweep._interfaces())

    def test_a_program_that_forks_no_first_process_shows_its_log(self):
        log = paths.LOG / "broken.log"
        with self.assertRaisesRegex(shell.LabError, "no PID 1(.|\n)*the reason"):
            start_init(["sh", "-c", "echo the reason"], paths.base_environment(), log, ROOT.pid_file("broken"))


if __name__ == "__main__":
    unittest.main()
