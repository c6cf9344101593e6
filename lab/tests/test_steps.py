"""Steps run in the order that they ask for, and a failure stops what has not begun."""

import contextlib
import io
import unittest

from kuryrlab import shell
from kuryrlab.steps import Step, perform


class Steps(unittest.TestCase):
    def setUp(self):
        self.done = []
        output = contextlib.redirect_stdout(io.StringIO())
        self.printed = output.__enter__()
        self.addCleanup(output.__exit__, None, None, None)

    def step(self, name, *after):
        return Step(name, lambda: self.done.append(name), after)

    def test_a_step_waits_for_those_before_it(self):
        perform([self.step("last", "middle"), self.step("middle", "first"), self.step("first")])
        self.assertEqual(self.done, ["first", "middle", "last"])

    def test_what_is_given_is_not_waited_for(self):
        perform([self.step("only", "elsewhere")], given=["elsewhere"])
        self.assertEqual(self.done, ["only"])

    def test_a_failure_is_named_and_stops_what_depends_on_it(self):
        def fail():
            raise shell.LabError("broken")

        with self.assertRaisesRegex(shell.LabError, "broken"):
            perform([Step("bad", fail), self.step("next", "bad")])
        self.assertEqual(self.done, [])
        self.assertIn("bad: FAILED", self.printed.getvalue())

    def test_a_step_that_nobody_provides_is_an_error_not_a_wait(self):
        with self.assertRaisesRegex(shell.LabError, "never comes"):
            perform([self.step("lonely", "nobody")])


if __name__ == "__main__":
    unittest.main()
