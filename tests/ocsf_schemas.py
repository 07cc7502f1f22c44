"""Makes JSON Schemas of the OCSF classes that Sluicegate writes, and the captions that belong to their numbers.

    .venv/bin/python tests/ocsf_schemas.py build/ocsf

For each version and class `<version>/<class_uid>.json`, with the profiles `cloud` and `datetime`; and
`captions.json`: version, class and attribute to number to caption.
"""

import json
import pathlib
import sys

from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

CLASSES = {
    "1.8.0": [6003, 3001, 3002, 3003, 3004, 3005, 2004, 2006],
    "1.1.0": [6003, 3001, 3002, 2004],
}
PROFILES = ["cloud", "datetime"]


def captions_of(attributes):
    """The captions of every attribute that is a number with an enumeration."""
    return {
        name: {number: item["caption"] for number, item in attribute["enum"].items()}
        for name, attribute in attributes.items()
        if attribute.get("enum") and attribute.get("type") in ("integer_t", "long_t")
    }


def main(folder):
    captions = {}
    for version, classes in CLASSES.items():
        schema = get_ocsf_schema(version=version)
        embedded = OcsfJsonSchemaEmbedded(schema)
        target = folder / version
        target.mkdir(parents=True, exist_ok=True)
        known = captions[version] = {"objects": {}}
        for uid in classes:
            name = embedded.lookup_class_name_from_uid(class_uid=uid)
            made = embedded.get_class_schema(name, profiles=PROFILES)
            (target / f"{uid}.json").write_text(json.dumps(made))
            known[str(uid)] = captions_of(schema["classes"][name]["attributes"])
            known[str(uid)]["category_uid"] = {
                str(schema["classes"][name]["category_uid"]): schema["classes"][name]["category_name"]
            }
        for name, definition in schema["objects"].items():
            known["objects"][name] = captions_of(definition["attributes"])
    (folder / "captions.json").write_text(json.dumps(captions))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
