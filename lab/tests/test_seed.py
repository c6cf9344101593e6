"""The snapshot of OpenStack's content belongs to what decides what the content is."""

import unittest
from unittest import mock

from kuryrlab import layout, paths, seed


class Key(unittest.TestCase):
    def test_it_follows_what_decides_about_the_networks(self):
        before = seed._key()
        with mock.patch.object(layout, "_OPTIONS", ("--pod-range", "10.2.0.0/16")):
            self.assertNotEqual(seed._key(), before)
        sources = list(layout.inputs())
        self.assertIn((paths.REPOSITORY / "crates/kuryr-core/src/layout.rs").read_bytes(), sources)
        self.assertIn((paths.REPOSITORY / "crates/kuryrctl/src/openstack/apply.rs").read_bytes(), sources)
        self.assertEqual(seed._key(), before)


class Program(unittest.TestCase):
    def test_it_is_built_only_for_networks_that_have_to_be_made(self):
        with mock.patch.object(layout, "build_program") as build:
            with mock.patch.object(seed, "available", return_value=True):
                self.assertEqual(seed.build_program(), "not needed")
            build.assert_not_called()
            with mock.patch.object(seed, "available", return_value=False):
                seed.build_program()
            build.assert_called_once_with()


if __name__ == "__main__":
    unittest.main()
