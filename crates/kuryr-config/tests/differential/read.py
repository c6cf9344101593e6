"""Reads configurations with oslo.config, for tests/differential.rs.

Standard input: {"schemas": {name: [group, ...]}, "cases": [case, ...]} as JSON. Standard output: one answer for each case,
either {"fault": text} when a file cannot be read at all, or {"values": {"group.option": value or null}} where null is an
option whose value is refused. A value is a pair [type, text or items].
"""

import json
import logging
import os
import sys
import tempfile

from oslo_config import cfg, types


def kind(spec):
    """The oslo.config type of a kind."""
    name = spec["kind"]
    if name == "text":
        return types.String()
    if name == "quoted":
        return types.String(quotes=True)
    if name == "bool":
        return types.Boolean()
    if name == "int":
        return types.Integer(min=spec["min"], max=spec["max"])
    if name == "float":
        return types.Float(min=spec["min"])
    if name == "list":
        return types.List(kind(spec["item"]), bounds=spec["bounds"])
    if name == "dict":
        return types.Dict(kind(spec["value"]), bounds=spec["bounds"])
    raise ValueError(name)


def option(spec):
    """The oslo.config option of an entry of the table."""
    deprecated = [cfg.DeprecatedOpt(name, group=group or None) for group, name in spec["deprecated"]]
    return cfg.Opt(spec["name"], type=kind(spec["type"]), default=spec["default"], deprecated_opts=deprecated)


def shown(value):
    """A value in a form that both languages agree on."""
    if value is None:
        return ["unset", ""]
    if isinstance(value, bool):
        return ["bool", str(value)]
    if isinstance(value, int):
        return ["int", str(value)]
    if isinstance(value, float):
        return ["float", repr(value)]
    if isinstance(value, str):
        return ["text", value]
    if isinstance(value, list):
        return ["list", [shown(item) for item in value]]
    return ["dict", [[key, shown(item)] for key, item in value.items()]]


def answer(case, schema, directory):
    """What oslo.config makes of a case."""
    args = []
    for flag, names in (("--config-file", case["files"]), ("--config-dir", case["dirs"])):
        for name in names:
            args += [flag, os.path.join(directory, name)]
    for name, text in case["texts"].items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    conf = cfg.ConfigOpts()
    for group in schema:
        for spec in group["options"]:
            conf.register_opt(option(spec), group=None if group["name"] == "DEFAULT" else group["name"])
    os.environ.update(case["env"])
    try:
        conf(args, project="none", prog="none", default_config_files=[], default_config_dirs=[])
        return {"values": values(conf, schema)}
    except (cfg.ConfigFileParseError, ValueError) as fault:
        return {"fault": str(fault)}
    finally:
        for name in case["env"]:
            del os.environ[name]


def values(conf, schema):
    """Every option's value, or None where oslo.config refuses it."""
    found = {}
    for group in schema:
        place = conf if group["name"] == "DEFAULT" else conf[group["name"]]
        for spec in group["options"]:
            try:
                value = shown(place[spec["name"]])
            # Whatever it raises (a bad value, an unknown or endless reference): the option cannot be read.
            except Exception:  # noqa: BLE001
                value = None
            found[f"{group['name']}.{spec['name']}"] = value
    return found


def main():
    """Answers every case."""
    logging.disable(logging.CRITICAL)
    asked = json.load(sys.stdin)
    answers = []
    for case in asked["cases"]:
        with tempfile.TemporaryDirectory() as directory:
            answers.append(answer(case, asked["schemas"][case["schema"]], directory))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
