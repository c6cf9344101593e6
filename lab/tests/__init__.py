"""The lab's own tests; those here need no lab and no root. `lifecycle` beside them needs both."""

import atexit
import os
import shutil
import tempfile

# Before anything of the lab is imported: a folder of its own, so that no test sees or touches a lab in use.
os.environ["KURYR_LAB"] = tempfile.mkdtemp(prefix="kuryr-lab-unit-")
atexit.register(shutil.rmtree, os.environ["KURYR_LAB"])
