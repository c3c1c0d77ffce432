#!/usr/bin/env python3
"""What Floe is made of: an SBOM (CycloneDX 1.5) and the licences of all crates that are linked in.

    packaging/bill_of_materials.py FOLDER

writes FOLDER/floe.cdx.json and FOLDER/THIRD-PARTY.txt from `cargo metadata` and the sources that cargo has fetched. Crates that
only tests or the build use are not part of it. It fails for a crate that says nothing of its licence.
"""

import json
import pathlib
import subprocess
import sys

LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT")


def metadata():
    host = next(
        line.split()[1]
        for line in subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout.splitlines()
        if line.startswith("host:")
    )
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def linked(graph):
    """The ids of all packages that the program links, and what each depends on."""
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    needs = {
        identity: sorted(
            dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])
        )
        for identity, node in nodes.items()
    }
    found, waiting = set(), [graph["resolve"]["root"]]
    while waiting:
        identity = waiting.pop()
        if identity not in found:
            found.add(identity)
            waiting += needs[identity]
    return {identity: needs[identity] for identity in found}


def url(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, kind):
    hashes = [{"alg": "SHA-256", "content": package["checksum"]}] if package.get("checksum") else []
    return {
        "type": kind,
        "bom-ref": url(package),
        "name": package["name"],
        "version": package["version"],
        "purl": url(package),
        "licenses": [{"expression": package["license"].replace("/", " OR ")}],
        **({"hashes": hashes} if hashes else {}),
        **({"description": package["description"].strip()} if package.get("description") else {}),
    }


def sbom(root, packages, needs):
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(root, "application")},
        "components": [component(package, "library") for package in packages],
        "dependencies": [
            {"ref": url(package), "dependsOn": [url(need) for need in needs[package["id"]]]}
            for package in [root, *packages]
        ],
    }


def texts(package):
    folder = pathlib.Path(package["manifest_path"]).parent
    named = [folder / package["license_file"]] if package.get("license_file") else []
    found = sorted(path for path in folder.iterdir() if path.is_file() and path.name.upper().startswith(LICENCE_FILES))
    return [path.read_text(errors="replace").strip() for path in dict.fromkeys(named + found)]


def third_party(packages):
    """Every text once, below the names of the crates that have it."""
    owners = {}
    lines = ["Floe links these crates. What each is licensed by, and the texts that they bring.", ""]
    for package in packages:
        name = f"{package['name']} {package['version']}"
        lines.append(f"{name}: {package['license']}")
        for text in texts(package):
            owners.setdefault(text, []).append(name)
    for text, names in owners.items():
        lines += ["", "=" * 80, ", ".join(names), "=" * 80, "", text]
    return "\n".join(lines) + "\n"


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    graph = metadata()
    by_id = {package["id"]: package for package in graph["packages"]}
    needs = linked(graph)
    root = by_id[graph["resolve"]["root"]]
    packages = sorted((by_id[identity] for identity in needs if identity != root["id"]), key=url)
    silent = [url(package) for package in packages if not package.get("license")]
    if silent:
        sys.exit(f"error: these crates do not say their licence: {', '.join(silent)}")
    needs = {identity: [by_id[need] for need in wanted] for identity, wanted in needs.items()}
    (folder / "floe.cdx.json").write_text(json.dumps(sbom(root, packages, needs), indent=1) + "\n")
    (folder / "THIRD-PARTY.txt").write_text(third_party(packages))
    print(f"{len(packages)} crates")


if __name__ == "__main__":
    main()
