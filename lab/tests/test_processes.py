"""Processes are found by id and start time, told apart from strangers, and fail with their log in hand."""

import os
import subprocess
import unittest
from pathlib import Path

from kuryrlab import paths, shell, sweep
from kuryrlab.daemons import Daemon
from kuryrlab.places import ROOT, read_pid, write_pid

PROC = Path("/proc")


class PidFiles(unittest.TestCase):
    def setUp(self):
        self.file = paths.RUN / "some.pid"

    def test_a_living_process_is_found(self):
        write_pid(self.file, PROC, os.getpid())
        self.assertEqual(read_pid(self.file).pid, os.getpid())

    def test_a_reused_id_is_not_the_process(self):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(f"{os.getpid()} 1\n")
        self.assertIsNone(read_pid(self.file))

    def test_a_zombie_is_dead(self):
        child = subprocess.Popen(["true"])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        write_pid(self.file, PROC, child.pid)
        self.assertIsNone(read_pid(self.file))
        child.wait()

    def test_nonsense_is_no_process(self):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text("what?\n")
        self.assertIsNone(read_pid(self.file))


class Daemons(unittest.TestCase):
    def test_start_and_stop(self):
        daemon = Daemon("sleeper", ("sleep", "60"))
        self.addCleanup(daemon.kill)
        self.assertEqual(daemon.start(), "")
        self.assertEqual(daemon.start(), "runs already")
        self.assertTrue(daemon.stop(grace=5))
        self.assertFalse(daemon.running())
        self.assertFalse(daemon.stop())

    def test_one_that_ignores_the_first_signal_is_killed(self):
        daemon = Daemon(
            "stubborn",
            ("bash", "-c", "trap '' TERM; touch $TMPDIR/ready; while :; do sleep 1; done"),
            ready=(paths.RUN / "tmp/ready").exists,
        )
        (paths.RUN / "tmp").mkdir(parents=True, exist_ok=True)
        self.addCleanup(daemon.kill)
        daemon.start()
        self.assertTrue(daemon.stop(grace=0.2))
        self.assertFalse(daemon.running())

    def test_one_that_ends_shows_its_last_lines(self):
        daemon = Daemon("broken", ("sh", "-c", "echo the reason; exit 3"), ready=lambda: False)
        with self.assertRaisesRegex(shell.LabError, "broken ended(.|\n)*the reason"):
            daemon.start()

    def test_one_that_is_never_ready_says_so(self):
        daemon = Daemon("slow", ("sleep", "60"), ready=lambda: False, timeout=0.2)
        self.addCleanup(daemon.kill)
        with self.assertRaisesRegex(shell.LabError, "slow was not ready"):
            daemon.start()


class Strays(unittest.TestCase):
    def test_only_what_carries_the_lab_s_mark_is_a_stray(self):
        ROOT.spawn("stray", ("sleep", "60"), {}, paths.LOG / "stray.log")
        stray = ROOT.find("stray")
        stranger = subprocess.Popen(["sleep", "60"])
        self.addCleanup(stranger.wait)
        self.addCleanup(stranger.kill)
        self.addCleanup(Daemon("stray", ()).kill)
        found = sweep.stray_processes()
        self.assertIn(stray.pid, found)
        self.assertNotIn(stranger.pid, found)
        self.assertNotIn(os.getpid(), found)


if __name__ == "__main__":
    unittest.main()
